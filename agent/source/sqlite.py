"""Certificates from an SQLite file on this host: read-only for reading, opened for writing only to report."""

import contextlib
import os
import pwd
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agent.model.errors import SourceError
from agent.model.offer import Mark, Offer
from agent.model.result import Result

_BUSY_TIMEOUT = 10.0  # seconds to wait for the issuer's own write to end


class SqliteSource:
    """The Source over an SQLite file."""

    def __init__(self, file: Path):
        self._file = file
        self._connection: sqlite3.Connection | None = None

    def marks(self, names: Sequence[str]) -> dict[str, Mark]:
        places = ", ".join("?" * len(names))
        rows = self._all(f"SELECT name, ts_last_update, ts_expire FROM certs WHERE name IN ({places})", *names)  # noqa: S608 - question marks
        return {name: Mark.of_cells(*cells) for name, *cells in rows}

    def fetch(self, name: str) -> Offer | None:
        rows = self._all("SELECT crt, ca FROM certs WHERE name = ?", name)
        return Offer.of_cells(*rows[0]) if rows else None

    def older_on_purpose(self, name: str) -> str:
        rows = self._all("SELECT rolled_back FROM certs WHERE name = ?", name)
        return str(rows[0][0] or "") if rows else ""

    def report(self, result: Result, host: str, moment: int) -> None:
        columns = "sha256, not_after, state, detail, ts_report, name, host, account"
        values = (*result.columns(), moment, result.name, host, _account())
        with self._writing() as connection:
            statement = f"INSERT OR REPLACE INTO installations ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - a constant
            connection.execute(statement, values)

    def confirm(self, names: Sequence[str], host: str, moment: int) -> int:
        places = ", ".join("?" * len(names))
        change = f"UPDATE installations SET ts_report = ?{{}} WHERE host = ? AND account = ? AND name IN ({places})"  # noqa: S608 - question marks
        facts = (moment, host, _account(), *names)
        with self._writing() as connection:
            try:
                return connection.execute(change.format(", changes_only = NULL"), facts).rowcount
            except sqlite3.OperationalError as error:
                if "no such column" not in str(error):  # which a database of an earlier certfleet lacks
                    raise
            return connection.execute(change.format(""), facts).rowcount

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        with _translated(self._file):
            connection = sqlite3.connect(_uri(self._file, "rw"), uri=True, timeout=_BUSY_TIMEOUT)
            with contextlib.closing(connection), connection:
                yield connection

    def _all(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        with _translated(self._file):
            if self._connection is None:
                self._connection = sqlite3.connect(_uri(self._file, "ro"), uri=True, timeout=_BUSY_TIMEOUT)
            return self._connection.execute(statement, values).fetchall()


def _uri(file: Path, mode: str) -> str:
    return f"{file.as_uri()}?mode={mode}"


def _account() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


@contextlib.contextmanager
def _translated(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if not os.path.exists(file):  # unlike Path.exists, says False where it may not look
            raise SourceError(f"there is no database {file}", hint="name the right file in [source] url") from error
        hint = "check [source] url, and that this user may read the file and its folder"
        if "no such table" in str(error):
            hint = "run `certfleet-issuer db upgrade` on the issuer"
        raise SourceError(f"the database {file} cannot be used", why=str(error), hint=hint) from error
