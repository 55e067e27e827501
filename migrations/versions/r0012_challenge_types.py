"""The journal has room for the name of every challenge type: dns-persist-01 has 14 characters."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":  # its types bound nothing
        return
    op.alter_column("challenges", "type", type_=sa.String(64), existing_type=sa.CHAR(12), existing_nullable=False)
