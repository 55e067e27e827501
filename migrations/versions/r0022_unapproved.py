"""The first certificate from another CA may wait for a person's approval."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from migrations.steps import add_columns

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    line = sa.Text().with_variant(mysql.TEXT(charset="ascii"), "mysql", "mariadb")
    add_columns("certs", sa.Column("unapproved", line))
    flag = sa.String(1).with_variant(mysql.VARCHAR(1, charset="ascii"), "mysql", "mariadb")
    add_columns("versions", sa.Column("unapproved", flag))
