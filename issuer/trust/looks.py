"""When this issuer looks at each certificate again, whatever the database says: its own memory in its state folder.

It holds nothing secret. Where it is lost, it fills again as certificates are looked at.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import structlog

from common.files import create_empty

T = TypeVar("T")
log = structlog.get_logger()
LOOKS = "looks.db"  # in the state folder
_SECONDS = 10.0  # to wait for another process's write
_TABLE = """CREATE TABLE IF NOT EXISTS looks
  (name TEXT PRIMARY KEY, moment INTEGER NOT NULL, ends INTEGER NOT NULL) WITHOUT ROWID"""
_INDEXES = [f"CREATE INDEX IF NOT EXISTS looks_{column} ON looks ({column})" for column in ("moment", "ends")]
_COME = "SELECT name FROM looks WHERE moment <= ? ORDER BY moment LIMIT ?"
_SOONEST = "SELECT name FROM looks WHERE ends > 0 ORDER BY ends LIMIT ?"
_PLAN = """INSERT INTO looks VALUES (?, ?, ?)
  ON CONFLICT (name) DO UPDATE SET moment = excluded.moment, ends = excluded.ends"""
_FORGET = "DELETE FROM looks WHERE name = ?"


class LooksFile:
    """Thread-safe. No method raises: where the *file* cannot be used, the moments in the database alone count."""

    def __init__(self, file: Path):
        self._file = file
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def plan(self, name: str, moment: int | None, ends: int = 0) -> None:
        """Look at *name* at that moment (epoch seconds); None: not by itself. *ends*: the end of its present
        certificate, 0 without one."""

        def work(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute(*((_FORGET, (name,)) if moment is None else (_PLAN, (name, moment, ends))))

        self._using(work, None)

    def come(self, now: int, most: int) -> list[str]:
        """The names whose moment has come, at most *most* of them, the longest wait first. Makes no file."""
        return self._names(_COME, now, most)

    def soonest(self, most: int) -> list[str]:
        """The *most* names whose certificates end first. Makes no file."""
        return self._names(_SOONEST, most)

    def _names(self, query: str, *values: int) -> list[str]:
        if not self._file.exists():
            return []
        return self._using(lambda connection: [name for (name,) in connection.execute(query, values)], [])

    def _using(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._opened()
                return work(self._connection)
            except (sqlite3.Error, OSError) as error:
                hint = "see that this user may write the folder; a damaged file may be deleted: it fills again"
                log.warning("looks.unusable", file=str(self._file), error=str(error), hint=hint)
                return otherwise

    def _opened(self) -> sqlite3.Connection:
        create_empty(self._file)  # its owner is that of the folder, whoever comes first
        connection = sqlite3.connect(self._file, timeout=_SECONDS, check_same_thread=False)
        try:
            connection.execute("PRAGMA synchronous = OFF")  # after a power cut it may fill again
            for statement in (_TABLE, *_INDEXES):
                connection.execute(statement)
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
            raise
        return connection
