"""What a failure consists of, why an order was opened, and the CA's window: facts in columns of their own.

They stood in sentences before. Those columns stay: ``last_error`` and ``holds.reason`` go on saying the whole, the
texts in ``ari_window`` and ``orders.reason`` are what an earlier version has left.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_CAUSES = {  # by the sentences that versions before wrote; any other one was somebody's wish
    "by hand": "by-hand",
    "first certificate": "first",
    "renewal": "renewal",
    "renewal, as the CA suggests": "suggested",
    "the CA wants it replaced now": "incident",
    "expired": "expired",
    "the stored certificate cannot be parsed": "damaged",
}


def upgrade() -> None:
    any_script: Any = sa.Text().with_variant(mysql.TEXT(charset="utf8mb4"), "mysql", "mariadb")
    failure = [sa.Column(f"last_{part}", any_script) for part in ("what", "why", "hint", "url")]
    _add("certs", *failure, sa.Column("ari_start", sa.BigInteger), sa.Column("ari_end", sa.BigInteger))
    _add("holds", *(sa.Column(part, any_script) for part in ("what", "why", "url")))
    _add("orders", sa.Column("cause", sa.CHAR(12)))
    orders = sa.table("orders", sa.column("reason"), sa.column("cause"))
    cause = sa.case(_CAUSES, value=orders.c.reason, else_="wish")
    op.execute(orders.update().where(orders.c.cause.is_(None), orders.c.reason.is_not(None)).values(cause=cause))


def _add(table: str, *columns: sa.Column[Any]) -> None:
    present = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
    for column in columns:
        if column.name not in present:
            op.add_column(table, column)
