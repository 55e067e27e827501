"""Certificates are audited, and people say of each what is not to be done and whom to ask."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from migrations.steps import add_columns, create_index

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    any_script = sa.Text().with_variant(mysql.TEXT(charset="utf8mb4"), "mysql", "mariadb")
    words = sa.String(500).with_variant(mysql.VARCHAR(500, charset="ascii"), "mysql", "mariadb")
    add_columns(
        "certs",
        sa.Column("audit_at", sa.BigInteger),
        sa.Column("audit_found", words),
        sa.Column("audit_served", words),
        sa.Column("mute_until", sa.BigInteger),
        sa.Column("mute", sa.String(20)),
        sa.Column("contact", any_script),
        sa.Column("renewal_note", any_script),
        sa.Column("takeover", sa.BigInteger),
    )
    create_index("ix_certs_audit", "certs", "audit_at")
