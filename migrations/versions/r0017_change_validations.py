"""A change has ways of validation of its own: those of the row stay in force for the present certificate."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from migrations.steps import add_columns

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    any_script = sa.Text().with_variant(mysql.TEXT(charset="utf8mb4"), "mysql", "mariadb")
    add_columns("certs", sa.Column("change_validations", any_script))
    # until now the ways of the row were those of its change too
    missing = "change_csr IS NOT NULL AND change_validations IS NULL"
    op.execute(f"UPDATE certs SET change_validations = COALESCE(validations, '') WHERE {missing}")  # noqa: S608
