"""What people were told and what is still to be sent; indexes for the counts that the daemon shows."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
}


def upgrade() -> None:
    present = set(sa.inspect(op.get_bind()).get_table_names())
    if "alarms" not in present:
        op.create_table(
            "alarms",
            sa.Column("name", sa.CHAR(250), primary_key=True),
            sa.Column("kind", sa.CHAR(24), primary_key=True),
            sa.Column("since", sa.BigInteger, nullable=False),
            **_MYSQL,
        )
    if "outbox" not in present:
        op.create_table(
            "outbox",
            # a BIGINT key does not count up by itself in SQLite, an INTEGER key does
            sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
            sa.Column("at", sa.BigInteger, nullable=False),
            sa.Column("name", sa.CHAR(250), nullable=False),
            sa.Column("kind", sa.CHAR(24), nullable=False),
            sa.Column("content", sa.Text, nullable=False),
            sa.Column("taken_by", sa.CHAR(40)),
            sa.Column("taken_until", sa.BigInteger),
            **_MYSQL,
        )
    _index("ix_certs_expire", "certs", ["enable", "ts_expire"])
    _index("ix_certs_failures", "certs", ["enable", "count_fail_update"])


def _index(name: str, table: str, columns: list[str]) -> None:
    if name not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, columns)
