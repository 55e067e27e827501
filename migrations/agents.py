"""The views and triggers through which the accounts of agents come to a database server.

Each upgrade makes them anew, also one without a new revision: they run with the rights of the account that made them,
and nobody gets past them once that account is renamed or gone. SQLite has no accounts, and none of this.
"""

import sqlalchemy as sa
import structlog

from migrations.steps import code_of

log = structlog.get_logger()
_OF_AN_AGENT = ("name", "ts_last_update", "ts_expire", "crt", "ca", "rolled_back", "statement", "enable")
_MOST_REPORTS = 20_000  # of one account
_MOST_DETAIL = 2000  # characters
_MAY_NOT = (1142, 1227, 1419)  # the rights that a trigger needs, the last one where the server writes a binary log


def make_anew(connection: sa.Connection) -> None:
    """Make all of them, with the present account as their definer."""
    if connection.dialect.name != "sqlite":
        _views(connection)
        _bound(connection)


def _views(connection: sa.Connection) -> None:
    """All that the accounts of agents may see: the present certificates, and their own reports with a bounded text.
    GRANT knows tables and columns, not rows; a checked view keeps each account to its own ones. USER() is the account
    that is connected, also inside a view that runs with its definer's rights."""
    connection.exec_driver_sql(
        f"CREATE OR REPLACE SQL SECURITY DEFINER VIEW agent_certs AS SELECT {', '.join(_OF_AN_AGENT)} FROM certs"  # noqa: S608 - words of our own
    )
    connection.exec_driver_sql(
        "CREATE OR REPLACE SQL SECURITY DEFINER VIEW own_installations AS"  # noqa: S608 - words of our own
        " SELECT name, host, account, sha256, not_after, state, detail, ts_report FROM installations"
        " WHERE account = SUBSTRING_INDEX(USER(), '@', 1)"
        f" AND CHAR_LENGTH(COALESCE(detail, '')) <= {_MOST_DETAIL} WITH CASCADED CHECK OPTION"
    )


def _bound(connection: sa.Connection) -> None:
    """An account cannot fill the table. Its rows are counted beside, because a count of them at each insert would cost
    the server minutes. A server may keep triggers for its administrator; then only the reading is bounded."""
    one_more = "INSERT INTO report_counts VALUES (NEW.account, 1) ON DUPLICATE KEY UPDATE held = held + 1"
    held = "(SELECT held FROM report_counts WHERE account = NEW.account)"
    refuse = f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'this account has its most reports, {_MOST_REPORTS}'"
    one_less = "UPDATE report_counts SET held = held - 1 WHERE account = OLD.account"
    bound = f"{one_more}; IF {held} > {_MOST_REPORTS} THEN {refuse}; END IF"
    try:
        _trigger(connection, "installations_added", "INSERT", bound)
        _trigger(connection, "installations_gone", "DELETE", one_less)
    except sa.exc.DBAPIError as error:
        if code_of(error) not in _MAY_NOT:
            raise
        log.warning("reports.unbounded", why=str(error.orig), hint="docs/databases.md, accounts of agents")
    connection.exec_driver_sql(  # what came without a trigger was not counted
        "REPLACE INTO report_counts SELECT account, COUNT(*) FROM installations GROUP BY account"
    )


def _trigger(connection: sa.Connection, name: str, event: str, body: str) -> None:
    """MySQL knows no OR REPLACE here; it is told to drop the trigger of another account alone."""
    text = f"TRIGGER {name} AFTER {event} ON installations FOR EACH ROW BEGIN {body}; END"
    if getattr(connection.dialect, "is_mariadb", False):
        connection.exec_driver_sql(f"CREATE OR REPLACE {text}")
        return
    there = "SELECT DEFINER = CURRENT_USER() FROM information_schema.TRIGGERS"
    there += f" WHERE TRIGGER_SCHEMA = DATABASE() AND TRIGGER_NAME = '{name}'"
    if not connection.exec_driver_sql(there).scalar():
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
        connection.exec_driver_sql(f"CREATE {text}")
