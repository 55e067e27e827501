"""The parts of a failure and of the CA's window get columns of their own. An order's reason becomes a code.

``last_error`` still has all of a failure in one line. A window that an earlier version wrote to ``ari_window`` counts
until the next one is drawn.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from migrations.steps import add_columns

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_CODES = {  # by the sentence that earlier versions wrote; "renewal", "expired" and "by hand" are codes already
    "first certificate": "first",
    "renewal, as the CA suggests": "suggested",
    "the CA wants it replaced now": "incident",
    "the stored certificate cannot be parsed": "damaged",
}


def upgrade() -> None:
    any_script: Any = sa.Text().with_variant(mysql.TEXT(charset="utf8mb4"), "mysql", "mariadb")
    failure = [sa.Column(f"last_{part}", any_script) for part in ("what", "why", "hint", "url")]
    add_columns("certs", *failure, sa.Column("ari_start", sa.BigInteger), sa.Column("ari_end", sa.BigInteger))
    orders = sa.table("orders", sa.column("reason"))
    for sentence, code in _CODES.items():
        op.execute(orders.update().where(orders.c.reason == sentence).values(reason=code))
