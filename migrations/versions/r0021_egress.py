"""The addresses of hosts that firewalls must let through, as they were seen over days, and the profile with which a
certificate was ordered."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from migrations.steps import add_columns, create_index, create_table

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    def ascii_of(length: int) -> sa.String:
        return sa.String(length).with_variant(mysql.VARCHAR(length, charset="ascii"), "mysql", "mariadb")

    create_table(
        "egress",
        sa.Column("host", ascii_of(253), primary_key=True),
        sa.Column("address", ascii_of(45), primary_key=True),
        sa.Column("first_seen", sa.BigInteger, nullable=False),
        sa.Column("last_seen", sa.BigInteger, nullable=False),
        sa.Column("ttl", sa.BigInteger),
    )
    create_index("ix_egress_last_seen", "egress", "last_seen")
    text = sa.Text().with_variant(mysql.TEXT(charset="utf8mb4"), "mysql", "mariadb")
    add_columns("certs", sa.Column("profile", text))
