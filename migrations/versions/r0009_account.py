"""A certificate has the account that ordered it, and why: `replaces` (RFC 9773 §5) is for one account alone."""

import sqlalchemy as sa

from migrations.steps import add_columns

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_columns("certs", sa.Column("account", sa.CHAR(64)), sa.Column("cause", sa.String(12)))
