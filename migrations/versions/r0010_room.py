"""The classic columns of an adopted table have room for all that we write; their values and defaults stay.

The classic scripts made moments ``int(11)``, which end in January 2038. They ran without strict mode, where a column
that is NOT NULL gets an empty value by itself: for us it is an error (1364).
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_BYTES = {"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4}
_NUMBERS = {"ts_expire": ("BIGINT", 8), "ts_last_update": ("BIGINT", 8), "count_fail_update": ("INT", 4)}
_LEAST = {  # characters or bytes of a PEM text, and of an MD5 in hex
    **dict.fromkeys(("csr", "ca", "crt", "old_ca", "old_crt"), 2**16 - 1),
    **dict.fromkeys(("md5_modulus", "md5_ca"), 32),
    **dict.fromkeys(("comment", "webroot_path"), 0),
}
_COLUMNS = sa.text(
    "SELECT LOWER(column_name) AS name, data_type AS kind, column_type AS full_type, is_nullable = 'YES' AS nullable,"
    " column_default AS value, character_maximum_length AS length, character_set_name AS script,"
    " collation_name AS collation"
    " FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'certs'"
)


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":  # its types bound nothing
        return
    changes = [
        f"MODIFY {column.name} {wanted}{_default(column, connection.dialect)}"
        for column in connection.execute(_COLUMNS)
        if (wanted := _number(column) or _text(column))
    ]
    if changes:  # in one statement: the server copies the table once, and does all of it or nothing
        connection.exec_driver_sql(f"ALTER TABLE certs {', '.join(changes)}".replace("%", "%%"))


def _number(column: Any) -> str:
    """The type that a column of numbers is to have; "" where it may stay."""
    kind, least = _NUMBERS.get(column.name, ("", 0))
    if _BYTES.get(column.kind.lower(), least) >= least:
        return ""
    return kind if column.nullable else f"{kind} NOT NULL"


def _text(column: Any) -> str:
    """The type that a column of text or bytes is to have; "" where it may stay."""
    least = _LEAST.get(column.name)
    if least is None or column.length is None:
        return ""
    if column.length >= least:
        wanted = "" if column.nullable else column.full_type
    else:
        binary, text = ("BLOB", "TEXT") if least > 2**8 else ("BINARY(64)", "CHAR(64)")
        wanted = binary if column.script is None else text
    script = f" CHARACTER SET {column.script} COLLATE {column.collation}" if column.script else ""
    return f"{wanted}{script} NULL" if wanted else ""


def _default(column: Any, dialect: sa.Dialect) -> str:
    """The default of a column. MariaDB tells it as SQL has it, MySQL tells its bare value, and has none for a blob."""
    if column.value is None or column.value == "NULL":
        return ""
    if getattr(dialect, "is_mariadb", False):
        return f" DEFAULT {column.value}"
    bare = str(column.value).replace("\\", "\\\\").replace("'", "''")
    return f" DEFAULT '{bare}'"
