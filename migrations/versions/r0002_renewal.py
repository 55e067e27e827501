"""Renewal information (RFC 9773), the origin of a certificate, and holds of a CA's limits."""

import sqlalchemy as sa
from alembic import op

from migrations.steps import add_columns, create_index, create_table

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _make_room()
    add_columns(
        "certs",
        sa.Column("ari_at", sa.BigInteger),  # the moment drawn in the CA's suggested window
        sa.Column("ari_window", sa.CHAR(50)),  # that window, as "START-END"
        sa.Column("ari_ask_at", sa.BigInteger),  # when the CA wants to be asked again
        sa.Column("ari_url", sa.Text),  # the CA's explanation of an early window
        sa.Column("directory", sa.Text),  # the CA that issued the present certificate; NULL: not known, or imported
        sa.Column("last_reference", sa.CHAR(60)),  # what kind of failure last_error is
        sa.Column("rolled_back", sa.CHAR(64)),  # SHA-256 of the present certificate after a rollback to it
        sa.Column("revoked", sa.CHAR(1)),  # Y: the present certificate was revoked
        sa.Column("imported", sa.CHAR(1)),  # Y: from outside, never renewed by ACME
    )
    add_columns("orders", sa.Column("replaces", sa.Text))
    add_columns("versions", sa.Column("names", sa.Text), sa.Column("directory", sa.Text))
    create_table(
        "holds",
        sa.Column("account", sa.CHAR(64), primary_key=True),  # SHA-256 of directory and account key
        sa.Column("scope", sa.CHAR(190), primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text),
    )
    create_index("ix_orders_created", "orders", "created_at")
    create_index("ix_versions_stored", "versions", "stored_at")


def _make_room() -> None:
    """Convert a legacy table to InnoDB with dynamic rows; no program reads it another way afterwards.

    An old row format of MySQL 5 keeps the start of each blob and text in its row: with our columns a row would be too
    long (error 1118). A table of another engine keeps half of an interrupted change, is not replicated by Galera, and
    cannot be changed together with ours where GTIDs must be consistent (error 1785).
    """
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        return
    query = (
        "SELECT engine = 'InnoDB' AND row_format NOT IN ('Compact', 'Redundant')"
        " FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'certs'"
    )
    if not connection.scalar(sa.text(query)):
        op.execute("ALTER TABLE certs ENGINE=InnoDB ROW_FORMAT=DYNAMIC")
