"""Which stored certificates were revoked, and why; and imports of before this are watched from the next run on."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    present = sa.inspect(op.get_bind())
    if "revoked" not in {column["name"] for column in present.get_columns("versions")}:
        op.add_column("versions", sa.Column("revoked", sa.SmallInteger))
    if "ix_versions_revoked" not in {index["name"] for index in present.get_indexes("versions")}:
        op.create_index("ix_versions_revoked", "versions", ["revoked"])
    op.execute("UPDATE certs SET due_at = NULL WHERE imported = 'Y'")
