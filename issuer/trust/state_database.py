"""A small SQLite database of the issuer's own in its state folder. Nobody who writes to the fleet's database can change
it. It is made when it is first used, and may be deleted: it fills again.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from common.errors import FileError
from common.files import create_empty

_SECONDS = 10.0  # to wait for another process's write


class StateDatabase:
    """Thread-safe; processes may share it. *statements*: the first of each connection, such as ``CREATE TABLE IF NOT
    EXISTS``."""

    def __init__(self, file: Path, *statements: str):
        self.file = file
        self._statements = statements
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._is_writing = False

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, which no other thread uses meanwhile. Raises FileError where the file cannot be used."""
        with self._lock:
            try:
                yield self._connection or self._opened()
            except (sqlite3.Error, OSError) as error:
                if not self._is_writing:
                    self.close()  # the next use opens the file anew: a damaged one may have been deleted
                hint = "see that this user may write the folder; a damaged file may be deleted: it fills again"
                raise FileError(f"cannot use {self.file}", why=str(error), hint=hint) from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The same in a transaction; inside another one of this thread, a part of that."""
        with self.reading() as connection:
            if self._is_writing:
                yield connection
                return
            self._is_writing = True
            try:
                with connection:
                    yield connection
            finally:
                self._is_writing = False

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _opened(self) -> sqlite3.Connection:
        create_empty(self.file)  # its owner is that of the folder, whoever comes first
        self._connection = sqlite3.connect(self.file, timeout=_SECONDS, check_same_thread=False)
        # a third of the time of a commit with a rollback journal, which four of each certificate take
        for statement in ("PRAGMA journal_mode=WAL", *self._statements):
            self._connection.execute(statement)
        return self._connection
