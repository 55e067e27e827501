"""The alarms that people were told of, the mail to be sent, and indexes for the counts that the daemon shows."""

import sqlalchemy as sa

from migrations.steps import ID, create_index, create_table

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table(
        "alarms",
        sa.Column("name", sa.CHAR(250), primary_key=True),
        sa.Column("kind", sa.CHAR(24), primary_key=True),
        sa.Column("since", sa.BigInteger, nullable=False),
    )
    create_table(
        "outbox",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("name", sa.CHAR(250), nullable=False),
        sa.Column("kind", sa.CHAR(24), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("taken_by", sa.CHAR(40)),
        sa.Column("taken_until", sa.BigInteger),
    )
    create_index("ix_certs_expire", "certs", "enable", "ts_expire")
    create_index("ix_certs_failures", "certs", "enable", "count_fail_update")
