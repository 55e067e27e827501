"""A certificate has the account that ordered it, and whether a window of the CA had it ordered early (RFC 9773)."""

import sqlalchemy as sa

from migrations.steps import add_columns

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_columns("certs", sa.Column("account", sa.CHAR(64)), sa.Column("early", sa.CHAR(1)))
