"""The tables of the issuer. An existing legacy ``certs`` table is adopted in place.

Adoption adds nullable columns and changes no value. MySQL commits each DDL statement at once, so an upgrade that was
interrupted is finished by a second one: nothing is created that exists.
"""

import sqlalchemy as sa
from alembic import op

from migrations.steps import ID, add_columns, create_index, create_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NAME = sa.CHAR(250)
_LEGACY = (
    *("name", "enable", "comment", "certbot", "csr", "ca", "crt", "md5_modulus", "md5_ca", "ts_expire"),
    *("ts_last_update", "count_fail_update", "old_ca", "old_crt", "webroot_path"),
)


def upgrade() -> None:
    _certs()
    _orders()
    _challenges()
    _versions()
    _events()
    _installations()
    create_index("ix_certs_due", "certs", "enable", "due_at")
    create_index("ix_challenges_order", "challenges", "order_id")
    create_index("ix_versions_name", "versions", "name", "stored_at")
    create_index("ix_events_name", "events", "name", "at")


def _certs() -> None:
    look = sa.inspect(op.get_bind())
    found = look.get_columns("certs") if look.has_table("certs") else []
    present = {column["name"].lower() for column in found} or set(_LEGACY)
    missing = [name for name in _LEGACY if name not in present]
    if missing:
        raise ValueError(f"the table certs exists but lacks the columns {', '.join(missing)}, so it cannot be adopted")
    create_table(
        "certs",
        sa.Column("name", _NAME, primary_key=True),
        _yes_or_no("enable"),
        sa.Column("comment", sa.Text),
        _yes_or_no("certbot"),
        sa.Column("csr", sa.LargeBinary),
        sa.Column("ca", sa.LargeBinary),
        sa.Column("crt", sa.LargeBinary),
        sa.Column("md5_modulus", sa.CHAR(64)),
        sa.Column("md5_ca", sa.CHAR(64)),
        sa.Column("ts_expire", sa.BigInteger),
        sa.Column("ts_last_update", sa.BigInteger),
        sa.Column("count_fail_update", sa.Integer, nullable=False, server_default="0"),
        sa.Column("old_ca", sa.LargeBinary),
        sa.Column("old_crt", sa.LargeBinary),
        sa.Column("webroot_path", sa.Text),
    )
    add_columns(
        "certs",
        sa.Column("due_at", sa.BigInteger),
        sa.Column("reissue_reason", sa.Text),
        sa.Column("last_error", sa.Text),
    )


def _yes_or_no(name: str) -> sa.Column[str]:
    kind = sa.Enum("Y", "N", name=f"ck_certs_{name}", create_constraint=True)
    return sa.Column(name, kind, nullable=False, server_default="N")


def _orders() -> None:
    create_table(
        "orders",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("active_name", _NAME),
        sa.Column("state", sa.CHAR(12), nullable=False),
        sa.Column("directory", sa.Text, nullable=False),
        sa.Column("url", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("deadline", sa.BigInteger),
        sa.Column("lease_owner", sa.CHAR(64)),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("error", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("active_name", name="uq_orders_active_name"),
    )


def _challenges() -> None:
    create_table(
        "challenges",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("order_id", sa.BigInteger, nullable=False),
        sa.Column("type", sa.CHAR(12), nullable=False),
        sa.Column("identifier", sa.CHAR(253), nullable=False),
        sa.Column("authorization_url", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("owner", sa.CHAR(253), nullable=False),
        sa.Column("zone", sa.CHAR(253), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )


def _versions() -> None:
    create_table(
        "versions",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("sha256", sa.CHAR(64), nullable=False),
        sa.Column("serial", sa.CHAR(64), nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("not_after", sa.BigInteger, nullable=False),
        sa.Column("crt", sa.LargeBinary, nullable=False),
        sa.Column("ca", sa.LargeBinary, nullable=False),
        sa.Column("stored_at", sa.BigInteger, nullable=False),
    )


def _events() -> None:
    create_table(
        "events",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("event", sa.CHAR(40), nullable=False),
        sa.Column("detail", sa.Text),
    )


def _installations() -> None:
    create_table(
        "installations",
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("host", _NAME, primary_key=True),
        sa.Column("account", sa.CHAR(80)),
        sa.Column("sha256", sa.CHAR(64)),
        sa.Column("not_after", sa.BigInteger),
        sa.Column("state", sa.CHAR(20), nullable=False),
        sa.Column("detail", sa.Text),
        sa.Column("ts_report", sa.BigInteger, nullable=False),
    )
