"""When this issuer looks at each certificate again, whatever the database says: its own memory in its state folder.

It holds nothing secret. Where it is lost, it fills again as certificates are looked at.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import structlog

from common.errors import FileError
from issuer.trust.state_database import StateDatabase

log = structlog.get_logger()
LOOKS = "looks.db"  # in the state folder
_ANY_ORDER = "PRAGMA synchronous = OFF"  # after a power cut it may fill again
_TABLE = """CREATE TABLE IF NOT EXISTS looks
  (name TEXT PRIMARY KEY, moment INTEGER NOT NULL, ends INTEGER NOT NULL) WITHOUT ROWID"""
_INDEXES = [f"CREATE INDEX IF NOT EXISTS looks_{column} ON looks ({column})" for column in ("moment", "ends")]
_COME = "SELECT name FROM looks WHERE moment <= ? ORDER BY moment LIMIT ?"
_SOONEST = "SELECT name FROM looks WHERE ends > 0 ORDER BY ends LIMIT ?"
_PLAN = """INSERT INTO looks VALUES (?, ?, ?)
  ON CONFLICT (name) DO UPDATE SET moment = excluded.moment, ends = excluded.ends"""
_FORGET = "DELETE FROM looks WHERE name = ?"


class LooksFile:
    """The :class:`issuer.journey.ports.Looks` of this issuer. Thread-safe. Where the *file* cannot be used, the moments
    in the database alone count. Only :meth:`plan` makes it."""

    def __init__(self, file: Path):
        self._database = StateDatabase(file, _ANY_ORDER, _TABLE, *_INDEXES)

    def plan(self, name: str, moment: int | None, ends: int = 0) -> None:
        with self._told_if_unusable(), self._database.writing() as connection:
            connection.execute(*((_FORGET, (name,)) if moment is None else (_PLAN, (name, moment, ends))))

    def come(self, now: int, most: int) -> list[str]:
        return self._names(_COME, now, most)

    def soonest(self, most: int) -> list[str]:
        return self._names(_SOONEST, most)

    def _names(self, query: str, *values: int) -> list[str]:
        names: list[str] = []
        if self._database.file.exists():
            with self._told_if_unusable(), self._database.reading() as connection:
                names = [name for (name,) in connection.execute(query, values)]
        return names

    @contextlib.contextmanager
    def _told_if_unusable(self) -> Iterator[None]:
        try:
            yield
        except FileError as error:
            log.warning("looks.unusable", error=str(error), hint=error.hint)
