"""Our own text columns in ``certs`` hold any script, whatever character set an adopted table has.

A CA may answer in Cyrillic or Chinese. A column with the table's latin1 refuses that (error 1366), and the failure was
not saved. The legacy columns stay as they are: old scripts read them. No index has a text column.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_OURS = ("reissue_reason", "last_error", "directory", "ari_url")


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        return
    narrow = sa.text(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE()"
        " AND table_name = 'certs' AND character_set_name <> 'utf8mb4' AND column_name IN :ours"
    ).bindparams(sa.bindparam("ours", _OURS, expanding=True))
    columns = list(connection.scalars(narrow))
    if columns:  # in one statement: the server copies the table once, and does all of it or nothing
        op.execute(
            f"ALTER TABLE certs {', '.join(f'MODIFY {column} TEXT CHARACTER SET utf8mb4' for column in columns)}"
        )
