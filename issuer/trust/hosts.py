"""Which hosts have reported: the issuer's own memory in its state folder, because whoever writes to the database can
take a report away, or make it pass for a new one. It holds nothing secret. Where it is lost, it fills again.
"""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from common.chunks import chunks
from issuer.model.hosts import Heard, ReportKey
from issuer.trust.state_database import StateDatabase

HOSTS = "hosts.db"  # in the state folder
MOST_OF_ACCOUNT = 20_000  # as many as the table takes of one
_AT_ONCE = 500  # names in one question
_TABLES = (
    """CREATE TABLE IF NOT EXISTS reports (name TEXT, host TEXT, account TEXT, reported INTEGER NOT NULL,
  seen INTEGER NOT NULL, PRIMARY KEY (name, host, account)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS settled (name TEXT, host TEXT, account TEXT, sha256 TEXT NOT NULL,
  PRIMARY KEY (name, host, account)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS reports_of_account ON reports (account)",
)
_KEY = "name = ? AND host = ? AND account = ?"
_COUNT = "SELECT COUNT(*) FROM reports WHERE account = ?"
_SETTLE = f"INSERT OR REPLACE INTO settled SELECT name, host, account, ? FROM reports WHERE {_KEY}"  # noqa: S608


class HostMemory:
    """Every method raises FileError where the *file* cannot be used. Processes may share it."""

    def __init__(self, file: Path):
        self._database = StateDatabase(file, *_TABLES)

    def names(self) -> set[str]:
        """The certificates of which a host has reported."""
        with self._database.reading() as connection:
            return {name for (name,) in connection.execute("SELECT DISTINCT name FROM reports")}

    def heard(self, names: Collection[str]) -> dict[str, dict[ReportKey, Heard]]:
        """The memory of the hosts of *names*, by name."""
        found: dict[str, dict[ReportKey, Heard]] = {}
        with self._database.reading() as connection:
            for some in chunks(sorted(names), _AT_ONCE):
                places = ", ".join("?" * len(some))
                for *key, reported, seen, settled in connection.execute(
                    f"SELECT * FROM reports LEFT JOIN settled USING (name, host, account) WHERE name IN ({places})",  # noqa: S608 - question marks
                    list(some),
                ):
                    name, host, account = key
                    found.setdefault(name, {})[name, host, account] = Heard(reported, seen, settled)
        return found

    def remember(
        self, news: Mapping[ReportKey, Heard], known: Collection[ReportKey], over: Collection[ReportKey] = ()
    ) -> None:
        """Keep *news*, and forget those that are *over*. *known*: keys that are kept already. No others are kept of an
        account that has very many: it may call its hosts by other names every hour."""
        with self._database.writing() as connection:
            for table in ("reports", "settled"):
                connection.executemany(f"DELETE FROM {table} WHERE {_KEY}", over)  # noqa: S608 - constants
            left_out = _without_room(connection, [key for key in news if key not in known])
            rows = [(*key, heard.reported, heard.seen) for key, heard in news.items() if key not in left_out]
            connection.executemany("INSERT OR REPLACE INTO reports VALUES (?, ?, ?, ?, ?)", rows)

    def settle(self, certificates: Mapping[ReportKey, str]) -> None:
        """Keep which certificate (SHA-256) each report names that is settled, of those that are kept."""
        with self._database.writing() as connection:
            rows = [(sha256, *key) for key, sha256 in certificates.items()]
            connection.executemany(_SETTLE, rows)

    def forget(self, hosts: Sequence[str], account: str | None) -> int:
        """Forget *hosts*, all without any, of one *account* or of every one; how many reports that were. In any case,
        as the tables of most servers take them: whoever still has an agent reports again."""
        places = ", ".join("?" * len(hosts))
        conditions = [f"host COLLATE NOCASE IN ({places})"] * bool(hosts)
        conditions += ["account = ? COLLATE NOCASE"] * (account is not None)
        with self._database.writing() as connection:
            values, count = [*hosts, *([] if account is None else [account])], 0
            for table in ("settled", "reports"):
                query = f"DELETE FROM {table} WHERE {' AND '.join(conditions)}"  # noqa: S608 - question marks
                count = connection.execute(query, values).rowcount
            return count


def _without_room(connection: sqlite3.Connection, keys: Sequence[ReportKey]) -> set[ReportKey]:
    """Those of the new *keys* that their accounts have no room for."""
    of_accounts: dict[str, list[ReportKey]] = {}
    for key in keys:
        of_accounts.setdefault(key[2], []).append(key)
    left_out: set[ReportKey] = set()
    for account, its in of_accounts.items():
        [held] = connection.execute(_COUNT, (account,)).fetchone()
        left_out.update(its[max(0, MOST_OF_ACCOUNT - held) :])
    return left_out
