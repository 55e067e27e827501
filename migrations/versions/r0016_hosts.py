"""The reports of hosts are told from the centre: one row for each account, views with what an agent needs, indexes.

Two accounts that report the same certificate of the same host have a row each, so neither can take the other's place.
"""

import sqlalchemy as sa
import structlog
from alembic import op

from migrations.steps import add_columns, code_of, create_index, create_table

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

log = structlog.get_logger()
_NAME = sa.CHAR(250)
_KEY = ["name", "host", "account"]
_OF_AN_AGENT = ("name", "ts_last_update", "ts_expire", "crt", "ca", "rolled_back", "statement")
_MOST_REPORTS = 20_000  # of one account
_MOST_DETAIL = 2000  # characters
_MAY_NOT = (1142, 1227, 1419)  # the rights that a trigger needs, the last one where the server writes a binary log


def upgrade() -> None:
    add_columns("certs", sa.Column("hosts_look_at", sa.BigInteger))
    create_index("ix_certs_hosts", "certs", "hosts_look_at")
    on_a_server = op.get_bind().dialect.name != "sqlite"
    if sa.inspect(op.get_bind()).get_pk_constraint("installations")["constrained_columns"] != _KEY:
        (_change_key if on_a_server else _copy)()
    create_index("ix_installations_report", "installations", "ts_report")
    create_index("ix_installations_state", "installations", "state", "ts_report")
    create_index("ix_installations_end", "installations", "not_after")
    create_table(
        "host_alarms",
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("host", _NAME, primary_key=True),
        sa.Column("account", sa.CHAR(80), primary_key=True),
        sa.Column("state", sa.CHAR(20), nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
    )
    if on_a_server:
        _views()
        _bound()


def _change_key() -> None:
    op.execute("UPDATE installations SET account = '' WHERE account IS NULL")
    change = "MODIFY account CHAR(80) NOT NULL DEFAULT ''"
    op.execute(f"ALTER TABLE installations {change}, DROP PRIMARY KEY, ADD PRIMARY KEY ({', '.join(_KEY)})")


def _copy() -> None:
    """SQLite cannot change a key. All this is one transaction there."""
    op.rename_table("installations", "installations_before")
    op.create_table(
        "installations",
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("host", _NAME, primary_key=True),
        sa.Column("account", sa.CHAR(80), primary_key=True, server_default=""),
        sa.Column("sha256", sa.CHAR(64)),
        sa.Column("not_after", sa.BigInteger),
        sa.Column("state", sa.CHAR(20), nullable=False),
        sa.Column("detail", sa.Text),
        sa.Column("ts_report", sa.BigInteger, nullable=False),
    )
    rest = "sha256, not_after, state, detail, ts_report"
    op.execute(
        f"INSERT INTO installations (name, host, account, {rest})"  # noqa: S608 - words of our own
        f" SELECT name, host, COALESCE(account, ''), {rest} FROM installations_before"
    )
    op.drop_table("installations_before")


def _views() -> None:
    """All that the accounts of agents may see: the present certificates, and their own reports with a bounded text."""
    op.execute(
        f"CREATE OR REPLACE SQL SECURITY DEFINER VIEW agent_certs AS SELECT {', '.join(_OF_AN_AGENT)} FROM certs"  # noqa: S608
    )
    op.execute(
        "CREATE OR REPLACE SQL SECURITY DEFINER VIEW own_installations AS"  # noqa: S608 - words of our own
        " SELECT name, host, account, sha256, not_after, state, detail, ts_report FROM installations"
        " WHERE account = SUBSTRING_INDEX(USER(), '@', 1)"
        f" AND CHAR_LENGTH(COALESCE(detail, '')) <= {_MOST_DETAIL} WITH CASCADED CHECK OPTION"
    )


def _bound() -> None:
    """An account cannot fill the table. Its rows are counted beside, because a count of them at each insert would cost
    the server minutes. A server may keep triggers for its administrator; then only the reading is bounded."""
    create_table(
        "report_counts",
        sa.Column("account", sa.CHAR(80), primary_key=True),
        sa.Column("held", sa.Integer, nullable=False),
    )
    op.execute("REPLACE INTO report_counts SELECT account, COUNT(*) FROM installations GROUP BY account")
    one_more = "INSERT INTO report_counts VALUES (NEW.account, 1) ON DUPLICATE KEY UPDATE held = held + 1"
    held = "(SELECT held FROM report_counts WHERE account = NEW.account)"
    refuse = f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'this account has its most reports, {_MOST_REPORTS}'"
    one_less = "UPDATE report_counts SET held = held - 1 WHERE account = OLD.account"
    _trigger("installations_added", "INSERT", f"{one_more}; IF {held} > {_MOST_REPORTS} THEN {refuse}; END IF")
    _trigger("installations_gone", "DELETE", one_less)


def _trigger(name: str, event: str, body: str) -> None:
    try:
        op.execute(f"DROP TRIGGER IF EXISTS {name}")
        op.execute(f"CREATE TRIGGER {name} AFTER {event} ON installations FOR EACH ROW BEGIN {body}; END")
    except sa.exc.DBAPIError as error:
        if code_of(error) not in _MAY_NOT:
            raise
        log.warning("reports.unbounded", why=str(error.orig), hint="docs/databases.md, accounts of agents")
