"""The reason for which a stored certificate was revoked. The next run looks at certificates imported before this."""

import sqlalchemy as sa
from alembic import op

from migrations.steps import add_columns, create_index

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_columns("versions", sa.Column("revoked", sa.SmallInteger))
    create_index("ix_versions_revoked", "versions", "revoked")
    op.execute("UPDATE certs SET due_at = NULL WHERE imported = 'Y'")
