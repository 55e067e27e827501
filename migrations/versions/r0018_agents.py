"""Agents see whether a certificate is enabled, so that they can say on their host that it is not renewed.

The view of it is made by migrations/agents.py, at the end of each upgrade.
"""

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The view alone has changed."""
