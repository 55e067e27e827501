"""An order has a seal: an issuer follows only what an issuer wrote."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from migrations.steps import add_columns

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    seal = sa.String(80).with_variant(mysql.VARCHAR(80, charset="ascii"), "mysql", "mariadb")
    add_columns("orders", sa.Column("seal", seal))
