"""An order has the names it is for, because the limits of a CA count by name."""

import sqlalchemy as sa
from alembic import op

from migrations.steps import add_columns

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_columns("orders", sa.Column("names", sa.Text))  # in their order, separated by blanks
    op.execute(
        "UPDATE orders SET names = (SELECT versions.names FROM versions WHERE versions.name = orders.name"
        " AND versions.stored_at >= orders.created_at ORDER BY versions.stored_at LIMIT 1)"
        " WHERE state = 'STORED' AND names IS NULL"
    )
