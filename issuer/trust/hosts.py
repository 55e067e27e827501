"""Which hosts have reported: the issuer's own memory in its state folder, because whoever writes to the database can
take a report away, or make it pass for a new one. It holds nothing secret. Where it is lost, it fills again.
"""

import contextlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from common.errors import FileError
from common.files import create_empty
from issuer.ground.chunks import chunks
from issuer.model.hosts import Heard, ReportKey

HOSTS = "hosts.db"  # in the state folder
_SECONDS = 10.0  # to wait for another process's write
_AT_ONCE = 500  # names in one question
_TABLE = """CREATE TABLE IF NOT EXISTS heard (name TEXT, host TEXT, account TEXT, reported INTEGER NOT NULL,
  seen INTEGER NOT NULL, daily INTEGER NOT NULL, PRIMARY KEY (name, host, account)) WITHOUT ROWID"""
_KEY = "name = ? AND host = ? AND account = ?"


class HostMemory:
    """Every method raises FileError where the *file* cannot be used. Processes may share it."""

    def __init__(self, file: Path):
        self._file = file

    def names(self) -> set[str]:
        """The certificates of which a host has reported."""
        with self._using() as connection:
            return {name for (name,) in connection.execute("SELECT DISTINCT name FROM heard")}

    def heard(self, names: Collection[str]) -> dict[str, dict[ReportKey, Heard]]:
        """The memory of the hosts of *names*, by name."""
        found: dict[str, dict[ReportKey, Heard]] = {}
        with self._using() as connection:
            for some in chunks(sorted(names), _AT_ONCE):
                places = ", ".join("?" * len(some))
                for *key, reported, seen, daily in connection.execute(
                    f"SELECT * FROM heard WHERE name IN ({places})",  # noqa: S608 - question marks
                    list(some),
                ):
                    name, host, account = key
                    found.setdefault(name, {})[name, host, account] = Heard(reported, seen, bool(daily))
        return found

    def remember(self, news: Mapping[ReportKey, Heard], over: Iterable[ReportKey] = ()) -> None:
        """Keep *news*, and forget those that are *over*."""
        rows = [(*key, heard.reported, heard.seen, heard.daily) for key, heard in news.items()]
        with self._using() as connection:
            connection.executemany("INSERT OR REPLACE INTO heard VALUES (?, ?, ?, ?, ?, ?)", rows)
            connection.executemany(f"DELETE FROM heard WHERE {_KEY}", over)  # noqa: S608 - a constant

    def forget(self, hosts: Sequence[str], account: str | None) -> int:
        """Forget *hosts*, all without any, of one *account* or of every one; how many reports that were."""
        places = ", ".join("?" * len(hosts))
        conditions = [f"host IN ({places})"] * bool(hosts) + ["account = ?"] * (account is not None)
        with self._using() as connection:
            query = f"DELETE FROM heard WHERE {' AND '.join(conditions)}"  # noqa: S608 - question marks
            return connection.execute(query, [*hosts, *([] if account is None else [account])]).rowcount

    @contextlib.contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        try:
            create_empty(self._file)  # its owner is that of the folder, whoever comes first
            with contextlib.closing(sqlite3.connect(self._file, timeout=_SECONDS)) as connection, connection:
                connection.execute(_TABLE)
                yield connection
        except (sqlite3.Error, OSError) as error:
            hint = "see that this user may write the folder; a damaged file may be deleted: it fills again"
            raise FileError(f"cannot use {self._file}", why=str(error), hint=hint) from error
