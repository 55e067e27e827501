"""A new CSR waits beside the present one until its certificate is stored. An order says which CSR it is for."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from migrations.steps import add_columns, create_index

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    any_script = sa.Text().with_variant(mysql.TEXT(charset="utf8mb4"), "mysql", "mariadb")
    add_columns(
        "certs",
        sa.Column("change_csr", sa.LargeBinary),
        sa.Column("change_due_at", sa.BigInteger),
        sa.Column("change_failures", sa.BigInteger),
        sa.Column("change_failure", any_script),
    )
    create_index("ix_certs_change", "certs", "enable", "change_due_at")
    add_columns("orders", sa.Column("csr_sha256", sa.String(64)))
