"""The reports of hosts are told from the centre: one row for each account, and indexes.

Two accounts that report the same certificate of the same host have a row each, so neither can take the other's place.
"""

import sqlalchemy as sa
from alembic import op

from migrations.steps import add_columns, create_index, create_table

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_NAME = sa.CHAR(250)
_KEY = ["name", "host", "account"]


def upgrade() -> None:
    add_columns("certs", sa.Column("hosts_look_at", sa.BigInteger))
    create_index("ix_certs_hosts", "certs", "hosts_look_at")
    on_a_server = op.get_bind().dialect.name != "sqlite"
    if sa.inspect(op.get_bind()).get_pk_constraint("installations")["constrained_columns"] != _KEY:
        (_change_key if on_a_server else _copy)()
    create_index("ix_installations_report", "installations", "ts_report")
    create_index("ix_installations_state", "installations", "state", "ts_report")
    create_index("ix_installations_end", "installations", "not_after")
    create_table(
        "host_alarms",
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("host", _NAME, primary_key=True),
        sa.Column("account", sa.CHAR(80), primary_key=True),
        sa.Column("state", sa.CHAR(20), nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
    )
    if on_a_server:  # migrations/agents.py makes the triggers that count them
        create_table(
            "report_counts",
            sa.Column("account", sa.CHAR(80), primary_key=True),
            sa.Column("held", sa.Integer, nullable=False),
        )


def _change_key() -> None:
    op.execute("UPDATE installations SET account = '' WHERE account IS NULL")
    change = "MODIFY account CHAR(80) NOT NULL DEFAULT ''"
    op.execute(f"ALTER TABLE installations {change}, DROP PRIMARY KEY, ADD PRIMARY KEY ({', '.join(_KEY)})")


def _copy() -> None:
    """SQLite cannot change a key. All this is one transaction there."""
    op.rename_table("installations", "installations_before")
    op.create_table(
        "installations",
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("host", _NAME, primary_key=True),
        sa.Column("account", sa.CHAR(80), primary_key=True, server_default=""),
        sa.Column("sha256", sa.CHAR(64)),
        sa.Column("not_after", sa.BigInteger),
        sa.Column("state", sa.CHAR(20), nullable=False),
        sa.Column("detail", sa.Text),
        sa.Column("ts_report", sa.BigInteger, nullable=False),
    )
    rest = "sha256, not_after, state, detail, ts_report"
    op.execute(
        f"INSERT INTO installations (name, host, account, {rest})"  # noqa: S608 - words of our own
        f" SELECT name, host, COALESCE(account, ''), {rest} FROM installations_before"
    )
    op.drop_table("installations_before")
