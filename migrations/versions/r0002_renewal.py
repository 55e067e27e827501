"""Renewal information (RFC 9773), where a certificate came from, and what holds a CA's limits put on us."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _make_room()
    _add(
        "certs",
        sa.Column("ari_at", sa.BigInteger),  # the moment drawn in the CA's suggested window
        sa.Column("ari_window", sa.CHAR(50)),  # the window that it was drawn in; another one means another draw
        sa.Column("ari_ask_at", sa.BigInteger),  # when the CA wants to be asked again
        sa.Column("ari_url", sa.Text),  # the CA's explanation of an early window
        sa.Column("directory", sa.Text),  # the CA that issued the present certificate; NULL: not known, or imported
        sa.Column("last_reference", sa.CHAR(60)),  # what kind of failure last_error is
        sa.Column("rolled_back", sa.CHAR(64)),  # SHA-256 of the present certificate, when it is older on purpose
        sa.Column("revoked", sa.CHAR(1)),  # Y: the present certificate was revoked
        sa.Column("imported", sa.CHAR(1)),  # Y: comes from outside, watched but never renewed
    )
    _add("orders", sa.Column("replaces", sa.Text), sa.Column("names_sha256", sa.CHAR(64)))
    _add(
        "versions", sa.Column("names", sa.Text), sa.Column("directory", sa.Text), sa.Column("names_sha256", sa.CHAR(64))
    )
    if "holds" not in sa.inspect(op.get_bind()).get_table_names():
        op.create_table(
            "holds",
            sa.Column("account", sa.CHAR(64), primary_key=True),  # SHA-256 of directory and account key
            sa.Column("scope", sa.CHAR(190), primary_key=True),
            sa.Column("until", sa.BigInteger, nullable=False),
            sa.Column("reason", sa.Text),
            mysql_engine="InnoDB",
            mysql_charset="utf8mb4",
            mariadb_engine="InnoDB",
            mariadb_charset="utf8mb4",
        )
    _index("ix_orders_created", "orders", ["created_at"])
    _index("ix_versions_stored", "versions", ["stored_at"])


def _make_room() -> None:
    """A legacy table of MySQL 5 keeps the start of each blob and text in its row, and with ours a row would be too long
    (error 1118). One of another engine keeps half of a change that was cut off, is not replicated by Galera, and cannot
    be changed together with ours where GTIDs must be consistent (error 1785). Both are the server's own affair: nobody
    reads the table another way."""
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        return
    query = (
        "SELECT engine = 'InnoDB' AND row_format NOT IN ('Compact', 'Redundant')"
        " FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'certs'"
    )
    if not connection.scalar(sa.text(query)):
        op.execute("ALTER TABLE certs ENGINE=InnoDB ROW_FORMAT=DYNAMIC")


def _add(table: str, *columns: sa.Column[object]) -> None:
    present = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
    for column in columns:
        if column.name not in present:
            op.add_column(table, column)


def _index(name: str, table: str, columns: list[str]) -> None:
    if name not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, columns)
