"""What a failure consists of and the CA's window: facts in columns of their own. An order's reason becomes a code.

``last_error`` goes on telling all of a failure in one line; what an earlier version has left in ``ari_window`` is read
until the next window is drawn.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_CODES = {  # by the sentences that versions before wrote; "renewal", "expired" and "by hand" are codes already
    "first certificate": "first",
    "renewal, as the CA suggests": "suggested",
    "the CA wants it replaced now": "incident",
    "the stored certificate cannot be parsed": "damaged",
}


def upgrade() -> None:
    any_script: Any = sa.Text().with_variant(mysql.TEXT(charset="utf8mb4"), "mysql", "mariadb")
    failure = [sa.Column(f"last_{part}", any_script) for part in ("what", "why", "hint", "url")]
    present = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("certs")}
    for column in (*failure, sa.Column("ari_start", sa.BigInteger), sa.Column("ari_end", sa.BigInteger)):
        if column.name not in present:
            op.add_column("certs", column)
    orders = sa.table("orders", sa.column("reason"))
    for sentence, code in _CODES.items():
        op.execute(orders.update().where(orders.c.reason == sentence).values(reason=code))
