"""Agents see whether a certificate is enabled, so that they can say on their host that it is not renewed."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_OF_AN_AGENT = ("name", "ts_last_update", "ts_expire", "crt", "ca", "rolled_back", "statement", "enable")


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        return  # it has no accounts, and no view for them
    op.execute(
        f"CREATE OR REPLACE SQL SECURITY DEFINER VIEW agent_certs AS SELECT {', '.join(_OF_AN_AGENT)} FROM certs"  # noqa: S608 - words of our own
    )
