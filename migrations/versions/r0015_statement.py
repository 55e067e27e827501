"""A certificate has the statement that its issuer has signed about it: a line, and one for each change of the key."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from migrations.steps import add_columns

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ascii_text = sa.Text().with_variant(mysql.MEDIUMTEXT(charset="ascii"), "mysql", "mariadb")
    add_columns("certs", sa.Column("statement", ascii_text))
