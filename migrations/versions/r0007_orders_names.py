"""An order says which names it is for: it counts for the limits of its CA."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    present = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("orders")}
    if "names" not in present:
        op.add_column("orders", sa.Column("names", sa.Text))  # separated by blanks, in their order
    op.execute(
        "UPDATE orders SET names = (SELECT versions.names FROM versions WHERE versions.name = orders.name"
        " AND versions.stored_at >= orders.created_at ORDER BY versions.stored_at LIMIT 1)"
        " WHERE state = 'STORED' AND names IS NULL"
    )
