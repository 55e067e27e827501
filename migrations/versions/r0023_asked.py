"""A failure keeps the requests to our own servers beside its cause."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from migrations.steps import add_columns

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    any_script = sa.Text().with_variant(mysql.TEXT(charset="utf8mb4"), "mysql", "mariadb")
    add_columns("certs", sa.Column("last_asked", any_script))
