"""A name of a certificate may be validated in a way of its own."""

import sqlalchemy as sa

from migrations.steps import add_columns

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_columns("certs", sa.Column("validations", sa.Text))  # a line "NAME WAY" for each such name
