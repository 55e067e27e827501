"""What a test may do with a database, whichever engine it is, and the engine that needs no server."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from common import files

Row = tuple[Any, ...]


class Database(Protocol):
    """An empty database: how the product reaches it, and a way around the product for the test itself."""

    @property
    def url(self) -> str:
        """As it stands in issuer.toml, without a password."""

    @property
    def password_file(self) -> Path | None:
        """The password's file (0600); nothing when the engine has none."""

    @property
    def tls_ca(self) -> Path | None:
        """The authority of the server's certificate; nothing when there is no network in between."""

    def query(self, sql: str) -> list[Row]:
        """Read with every right, past the product."""

    def execute(self, sql: str) -> None:
        """Write with every right, past the product, and commit."""


class SqliteDatabase:
    """A SQLite file, made at the first connection."""

    make = "sqlite"  # databases of one make take what another one of it holds
    password_file: Path | None = None
    tls_ca: Path | None = None

    def __init__(self, folder: Path) -> None:
        self.path = folder / "certfleet.db"
        self.url = f"sqlite:///{self.path}"

    def empty(self) -> bool:
        """Whether there is no file yet."""
        return not self.path.exists()

    def content(self) -> bytes:
        """The whole file as it would be after the last connection to it was closed."""
        with closing(sqlite3.connect(self.path, timeout=10)) as connection:
            return connection.serialize()

    def fill(self, content: bytes) -> None:
        """Write the file, for its owner alone as the product does."""
        files.write_atomic(self.path, content, mode=0o600)

    def query(self, sql: str) -> list[Row]:
        """The rows of one statement."""
        with closing(sqlite3.connect(self.path, timeout=10)) as connection:
            return connection.execute(sql).fetchall()

    def execute(self, sql: str) -> None:
        """Run one statement and commit it."""
        with closing(sqlite3.connect(self.path, timeout=10)) as connection, connection:
            connection.execute(sql)
