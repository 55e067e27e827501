"""The tables of the issuer; an existing legacy ``certs`` table is adopted in place.

Adoption adds nullable columns and touches no value. Nothing is created that exists, so an upgrade that was cut off in
the middle (MySQL commits each DDL statement at once) is finished by running it again.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# A BIGINT key does not count up by itself in SQLite, an INTEGER key does
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_NAME = sa.CHAR(250)
_MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
}
_LEGACY = (
    *(
        "name",
        "enable",
        "comment",
        "certbot",
        "csr",
        "ca",
        "crt",
        "md5_modulus",
        "md5_ca",
        "ts_expire",
        "ts_last_update",
    ),
    *("count_fail_update", "old_ca", "old_crt", "webroot_path"),
)


def upgrade() -> None:
    present = set(sa.inspect(op.get_bind()).get_table_names())
    if "certs" in present:
        _adopt_certs()
    else:
        _create_certs()
    for name, create in _TABLES.items():
        if name not in present:
            create()
    _create_index("ix_certs_due", "certs", ["enable", "due_at"])
    _create_index("ix_challenges_order", "challenges", ["order_id"])
    _create_index("ix_versions_name", "versions", ["name", "stored_at"])
    _create_index("ix_events_name", "events", ["name", "at"])
    if op.get_bind().dialect.name in ("mysql", "mariadb"):
        _create_own_installations()


def _adopt_certs() -> None:
    present = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("certs")}
    missing = [name for name in _LEGACY if name not in present]
    if missing:
        raise ValueError(f"the table certs exists but lacks the columns {', '.join(missing)}, so it cannot be adopted")
    for column in (
        sa.Column("due_at", sa.BigInteger),
        sa.Column("reissue_reason", sa.Text),
        sa.Column("last_error", sa.Text),
    ):
        if column.name not in present:
            op.add_column("certs", column)


def _create_certs() -> None:
    op.create_table(
        "certs",
        sa.Column("name", _NAME, primary_key=True),
        sa.Column(
            "enable",
            sa.Enum("Y", "N", name="ck_certs_enable", create_constraint=True),
            nullable=False,
            server_default="N",
        ),
        sa.Column("comment", sa.Text),
        sa.Column(
            "certbot",
            sa.Enum("Y", "N", name="ck_certs_certbot", create_constraint=True),
            nullable=False,
            server_default="N",
        ),
        sa.Column("csr", sa.LargeBinary),
        sa.Column("ca", sa.LargeBinary),
        sa.Column("crt", sa.LargeBinary),
        sa.Column("md5_modulus", sa.CHAR(64)),
        sa.Column("md5_ca", sa.CHAR(64)),
        sa.Column("ts_expire", sa.BigInteger),
        sa.Column("ts_last_update", sa.BigInteger),
        sa.Column("count_fail_update", sa.Integer, nullable=False, server_default="0"),
        sa.Column("old_ca", sa.LargeBinary),
        sa.Column("old_crt", sa.LargeBinary),
        sa.Column("webroot_path", sa.Text),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("reissue_reason", sa.Text),
        sa.Column("last_error", sa.Text),
        **_MYSQL,
    )


def _create_orders() -> None:
    op.create_table(
        "orders",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("active_name", _NAME),
        sa.Column("state", sa.CHAR(12), nullable=False),
        sa.Column("directory", sa.Text, nullable=False),
        sa.Column("url", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("deadline", sa.BigInteger),
        sa.Column("lease_owner", sa.CHAR(64)),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("error", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("active_name", name="uq_orders_active_name"),
        **_MYSQL,
    )


def _create_challenges() -> None:
    op.create_table(
        "challenges",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("order_id", sa.BigInteger, nullable=False),
        sa.Column("type", sa.CHAR(12), nullable=False),
        sa.Column("identifier", sa.CHAR(253), nullable=False),
        sa.Column("authorization_url", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("owner", sa.CHAR(253), nullable=False),
        sa.Column("zone", sa.CHAR(253), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        **_MYSQL,
    )


def _create_versions() -> None:
    op.create_table(
        "versions",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("sha256", sa.CHAR(64), nullable=False),
        sa.Column("serial", sa.CHAR(64), nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("not_after", sa.BigInteger, nullable=False),
        sa.Column("crt", sa.LargeBinary, nullable=False),
        sa.Column("ca", sa.LargeBinary, nullable=False),
        sa.Column("stored_at", sa.BigInteger, nullable=False),
        **_MYSQL,
    )


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("event", sa.CHAR(40), nullable=False),
        sa.Column("detail", sa.Text),
        **_MYSQL,
    )


def _create_installations() -> None:
    op.create_table(
        "installations",
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("host", _NAME, primary_key=True),
        sa.Column("account", sa.CHAR(80)),
        sa.Column("sha256", sa.CHAR(64)),
        sa.Column("not_after", sa.BigInteger),
        sa.Column("state", sa.CHAR(20), nullable=False),
        sa.Column("detail", sa.Text),
        sa.Column("ts_report", sa.BigInteger, nullable=False),
        **_MYSQL,
    )


def _create_index(name: str, table: str, columns: list[str]) -> None:
    if name not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, columns)


def _create_own_installations() -> None:
    # GRANT knows tables and columns, not rows; a checked view keeps each agent's account to its own rows.
    # USER() is the account that is connected, also inside a view that runs with its definer's rights.
    op.execute(
        "CREATE OR REPLACE SQL SECURITY DEFINER VIEW own_installations AS"
        " SELECT name, host, account, sha256, not_after, state, detail, ts_report FROM installations"
        " WHERE account = SUBSTRING_INDEX(USER(), '@', 1) WITH CASCADED CHECK OPTION"
    )


_TABLES = {
    "orders": _create_orders,
    "challenges": _create_challenges,
    "versions": _create_versions,
    "events": _create_events,
    "installations": _create_installations,
}
