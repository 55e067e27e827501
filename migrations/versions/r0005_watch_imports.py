"""Certificates from elsewhere that were imported before they were watched get their first look at the next run."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE certs SET due_at = NULL WHERE imported = 'Y'")
