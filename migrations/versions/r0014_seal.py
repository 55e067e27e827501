"""A row has a seal of what an operator enrolled, and a change one of its own."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from migrations.steps import add_columns

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    seal = sa.Text().with_variant(mysql.MEDIUMTEXT(charset="ascii"), "mysql", "mariadb")  # JSON in ASCII
    add_columns("certs", sa.Column("seal", seal), sa.Column("change_seal", seal))
