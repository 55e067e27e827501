"""Certificates from an SQLite file on this host: read-only for reading, opened for writing only to report."""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from agent.host.waits import Waits
from agent.model.errors import SourceError, Stopped
from agent.model.offer import Mark, Offer
from agent.model.result import Result
from agent.source.columns import OFFER_COLUMNS, newest
from common.owners import own_name
from common.pem import LARGEST

T = TypeVar("T")
_LONGEST_CELL = 16_000_000  # bytes; of a longer text nothing is read
_BUSY_TIMEOUT = 10.0  # seconds to wait for the issuer's own write to end
_MOMENTS = [
    f"CASE WHEN typeof({one}) IN ('blob', 'text') THEN 0 ELSE {one} END" for one in ("ts_last_update", "ts_expire")
]


class SqliteSource:
    """The Source over an SQLite file. An answer gets *patience* seconds: a view may compute without end. A file that
    gave no answer in time is not asked again."""

    def __init__(self, file: Path, waits: Waits, patience: float = 30.0):
        self._file = file
        self._waits = waits
        self._patience = patience
        self._given_up: SourceError | None = None

    def marks(self, names: Sequence[str]) -> dict[str, Mark]:
        which = f"name IN ({', '.join('?' * len(names))}) LIMIT {len(names)}"

        def ask(more: str) -> list[tuple[Any, ...]]:
            columns = f"name, {', '.join(_MOMENTS)}{more}"
            return self._ask(f"SELECT {columns} FROM certs WHERE {which}", *names)  # noqa: S608 - question marks

        rows = newest((", CAST(substr(enable, 1, 9) AS TEXT)", ""), ask, _lacks_column)
        return {name.decode(errors="replace"): Mark.of_cells(*cells) for name, *cells in rows}

    def fetch(self, name: str) -> Offer | None:
        def ask(columns: Sequence[str]) -> list[tuple[Any, ...]]:
            cells = ", ".join(map(_bounded, columns))
            return self._ask(f"SELECT {cells} FROM certs WHERE name = ? LIMIT 1", name)  # noqa: S608 - constants

        rows = newest(OFFER_COLUMNS, ask, _lacks_column)
        return Offer.of_cells(*rows[0]) if rows else None

    def report(self, results: Sequence[Result], host: str, moment: int) -> dict[str, SourceError]:
        columns = "sha256, not_after, state, detail, ts_report, name, host, account"
        rows = [(*result.columns(), moment, result.name, host, own_name()) for result in results]
        statement = f"INSERT OR REPLACE INTO installations ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - a constant
        self._within("rw", lambda connection: connection.executemany(statement, rows).rowcount)
        return {}

    def confirm(self, results: Sequence[Result], host: str, moment: int) -> int:
        which = "name = ? AND host = ? AND account = ? AND state = ? AND sha256 = ?"
        statement = f"UPDATE installations SET ts_report = ? WHERE {which}"  # noqa: S608 - a constant
        rows = [(moment, one.name, host, own_name(), one.outcome.value, one.columns()[0]) for one in results]
        return self._within("rw", lambda connection: connection.executemany(statement, rows).rowcount)

    def moment(self) -> float | None:
        return None

    def close(self) -> None:
        """Does nothing: each question has a connection of its own."""

    def _ask(self, statement: str, *values: str | int) -> list[tuple[Any, ...]]:
        return self._within("ro", lambda connection: connection.execute(statement, values).fetchall())

    def _within(self, mode: str, ask: Callable[[sqlite3.Connection], T]) -> T:
        """The answer to a question, or a change, in one transaction."""
        if self._given_up is not None:
            raise self._given_up

        def work() -> T:
            with contextlib.closing(connection), connection:
                return ask(connection)

        with _translated(self._file):
            connection = sqlite3.connect(
                _uri(self._file, mode), uri=True, timeout=_BUSY_TIMEOUT, check_same_thread=False
            )
            connection.text_factory = bytes  # text that is not UTF-8 would cost the whole answer
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_CELL)
            try:
                return self._waits.within(self._patience, work)
            except (TimeoutError, Stopped) as stop:
                connection.interrupt()
                if isinstance(stop, TimeoutError):
                    hint = "find out what is slow there: a view in place of the table certs, or the disk"
                    self._given_up = SourceError(f"the database {self._file} cannot be used", why=str(stop), hint=hint)
                    raise self._given_up from stop
                raise


def _lacks_column(error: BaseException | None) -> bool:
    return "no such column" in str(error)


def _bounded(column: str) -> str:
    """The cell of *column* up to a limit. A blob that is too large is not even read: its length alone tells."""
    return (
        f"CASE WHEN typeof({column}) = 'blob' AND length({column}) > {LARGEST}"
        f" THEN zeroblob({LARGEST} + 1) ELSE substr({column}, 1, {LARGEST} + 1) END"
    )


def _uri(file: Path, mode: str) -> str:
    return f"{file.as_uri()}?mode={mode}"


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
