"""Connections and transactions. Every error of a driver becomes a StoreError that says what to do about it.

``_connect_sqlite`` and ``MysqlServers`` open the drivers, not a SQLAlchemy URL: so TLS is always verified and several
hosts are tried in turn.
"""

import contextlib
import logging
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pymysql
import sqlalchemy as sa

from common.chunks import chunks
from common.database_url import SqliteAddress, parse_database_url
from common.deadline import Deadline
from common.errors import ConfigError, Finding
from common.files import create_empty, read_password
from common.mysql_errors import AGAIN, code_of, text_of
from common.owners import owner_hint
from common.tls import verified_tls
from issuer.model.config import DatabaseSettings
from issuer.model.errors import StoreError
from issuer.store import mysql

T = TypeVar("T")
_TRIES = 8
_NAMES_ASKED = 500  # in one question: the servers limit its length
# How a transaction begins on SQLite. With FULL a commit waits for the disk: an order URL must survive a power cut.
_DURABLE = ("PRAGMA synchronous=FULL", "BEGIN IMMEDIATE")
_WRITING = ("PRAGMA synchronous=NORMAL", "BEGIN IMMEDIATE")
_READING = ("BEGIN",)
_READ_WRITE = os.R_OK | os.W_OK

logging.getLogger("sqlalchemy").addHandler(logging.NullHandler())  # no tracebacks: a StoreError tells the same


class Database:
    """One database for the life of the process. Thread-safe; connections are pooled.

    *look_again_seconds*: the age at which a connection to a server is renewed, which shows whether it still takes
    writes. *locked_seconds*: how long to wait while another program locks a SQLite file. *patience*: the seconds after
    which a transaction is not tried once more. Raises ConfigError.
    """

    def __init__(
        self,
        settings: DatabaseSettings,
        *,
        look_again_seconds: int = 60,
        locked_seconds: float = 30.0,
        patience: float = 300.0,
    ):
        self._patience = patience
        try:
            self._address = parse_database_url(settings.url)
        except ValueError as error:
            raise ConfigError("configuration", [Finding("database.url", str(error))]) from error
        self.embedded = isinstance(self._address, SqliteAddress)
        # SQLite has one writer, and a second one polls with pauses of up to 0.1 s: our own threads queue up instead
        self._turn = threading.Lock() if self.embedded else contextlib.nullcontext()
        if isinstance(self._address, SqliteAddress):
            self.place = str(self._address.file)
            self._file: tuple[int, int] | None = None
            self._engine = sa.create_engine(
                "sqlite://",
                creator=partial(_connect_sqlite, self._address.file, locked_seconds),
                poolclass=sa.QueuePool,
                pool_size=32,
            )
        else:
            password = read_password(settings.password_file) if settings.password_file else ""
            tls = verified_tls(settings.tls_ca, "database.tls_ca")
            self._servers = mysql.MysqlServers(self._address, password, tls)
            self.place = str(self._address)
            self._engine = sa.create_engine(
                "mysql+pymysql://",
                creator=self._servers.connect,
                pool_size=32,
                pool_pre_ping=True,
                pool_recycle=look_again_seconds,
            )
        # a command that ends does not have to close it; the engine itself would make another pool at once
        weakref.finalize(self, _close_pooled, self._engine)

    def write(self, work: Callable[[sa.Connection], T], *, durable: bool = True) -> T:
        """Run *work* in one transaction and return its result. Raises StoreError.

        *work* runs again after a lost conflict or on a server that failed. A COMMIT whose answer was lost may have
        succeeded, so *work* must bear a second run. Without *durable* the change survives this process, but SQLite may
        lose it in a power cut: for facts that can be found out again.
        """
        with self._turn:
            return self._transact(work, _DURABLE if durable else _WRITING)

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Run *work* in a transaction that only reads and return its result. Raises StoreError."""
        return self._transact(work, _READING)

    def portions(
        self,
        query: sa.Select[Any],
        key: sa.Column[Any],
        most: int,
        make: Callable[[sa.Connection, list[Any]], list[Any]] = lambda _, rows: rows,
    ) -> Iterator[list[Any]]:
        """The rows of *query* in the order of its first column, *key*: so many in one transaction, which are in memory
        together, as what *make* makes of them there. Rows whose key cannot be read are left out. Raises StoreError,
        also where nothing leads on behind a whole portion, because others wrote such keys."""
        query = query.order_by(key).limit(most)
        later: sa.ColumnElement[bool] = sa.true()
        last = None
        while True:
            count, reached, made = self.read(partial(_portion, query.where(later), make))
            if made:
                yield made
            if count < most:
                return
            if reached in (None, last):
                what = f"the rows of {key.table.name} at {self.place} cannot be told apart"
                why = f"{count} have the same {key.name}, or none that can be read"
                raise StoreError(what, why=why, hint="nothing of ours writes such rows: look who does, and delete them")
            later, last = key > reached, reached

    def certificate_life(self) -> tuple[int, int] | None:
        """Start and end of the server's own certificate (epoch seconds); None without TLS. Raises StoreError."""
        if self.embedded:
            return None
        return self.read(lambda connection: mysql.certificate_life(connection.connection.dbapi_connection))

    @property
    def absent(self) -> bool:
        """Is it a SQLite file that does not exist? False if the folder cannot be searched."""
        file = self._address.file if isinstance(self._address, SqliteAddress) else None
        return file is not None and os.access(file.parent, os.X_OK) and not os.path.lexists(file)

    def create(self) -> None:
        """Make the file of a new SQLite database, for its owner alone; nothing on a server. Raises StoreError."""
        if isinstance(self._address, SqliteAddress):
            try:
                create_empty(self._address.file)
            except OSError as error:
                raise self._store_error(error) from error

    def close(self) -> None:
        self._engine.dispose()

    def _transact(self, work: Callable[[sa.Connection], T], begin: tuple[str, ...]) -> T:
        deadline = Deadline(self._patience)
        for attempt in range(_TRIES):
            self._follow_file()
            first = 0 if self.embedded else self._servers.first
            try:
                with self._engine.connect() as connection, connection.begin():
                    if self.embedded:
                        _begin_sqlite(connection, begin)
                    return work(connection)
            except (sa.exc.SQLAlchemyError, sqlite3.Error, pymysql.MySQLError) as error:
                code = code_of(_cause(error))
                if code in mysql.ELSEWHERE:
                    self._servers.move_on(first)
                    self._engine.dispose()  # pooled connections lead to the server that failed
                last = attempt == _TRIES - 1 or deadline.over
                if last or code not in AGAIN | mysql.AGAIN_ELSEWHERE:
                    raise self._store_error(error) from error
                time.sleep(0.02 * 2**attempt)
        raise RuntimeError("not reached")

    def _follow_file(self) -> None:
        """Drop the pooled connections when the SQLite file was replaced or removed: they lead to the deleted file."""
        if not isinstance(self._address, SqliteAddress):
            return
        try:
            status = self._address.file.stat()
            file = (status.st_dev, status.st_ino)
        except OSError:  # the next connection reports it
            file = None
        if file != self._file:
            if self._file is not None:
                self._engine.dispose()
            self._file = file

    def _store_error(self, error: Exception) -> StoreError:
        cause = _cause(error)
        why = text_of(cause)
        if isinstance(self._address, SqliteAddress):
            hint = _sqlite_hint(why, self._address.file, absent=self.absent)
        else:
            hint = mysql.hint(cause, self._address)
        return StoreError(f"the database at {self.place} did not do its work", why=why.strip(), hint=hint)


def _close_pooled(engine: sa.Engine) -> None:
    engine.pool.dispose()


def _portion(
    query: sa.Select[Any], make: Callable[[sa.Connection, list[Any]], list[Any]], connection: sa.Connection
) -> tuple[int, Any, list[Any]]:
    """How many rows *query* finds, the last key that can be read, None without any, and what *make* makes of those."""
    rows = connection.execute(query).all()
    readable = [row for row in rows if row[0]]
    return len(rows), readable[-1][0] if readable else None, make(connection, readable)


def rows_of(
    connection: sa.Connection, query: sa.Select[Any], column: sa.Column[Any], names: Iterable[str]
) -> Iterator[Any]:
    """The rows of *query* whose *column* is one of *names*, asked for in as many questions as they need."""
    for some in chunks(sorted(names), _NAMES_ASKED):
        yield from connection.execute(query.where(column.in_(some)))


def insert(connection: sa.Connection, table: sa.Table, row: Mapping[str, object]) -> int:
    """Add a row to a table that counts up by itself; returns its id."""
    key = connection.execute(table.insert(), row).inserted_primary_key
    assert key is not None  # noqa: S101 - the table has a key
    return int(key[0])


def _connect_sqlite(file: Path, locked_seconds: float) -> sqlite3.Connection:
    # mode rw: a command that only looks must not make an empty database; isolation_level None: transactions begin in
    # _begin_sqlite, so that DDL rolls back too
    uri = f"{file.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=locked_seconds, isolation_level=None, check_same_thread=False)
    connection.text_factory = _text_or_octets
    connection.execute("PRAGMA journal_mode=WAL")
    return connection


def _text_or_octets(content: bytes) -> str | bytes:
    """A text of SQLite, which keeps one in any encoding; of one that is not UTF-8 the octets, as of a blob. The driver
    itself would give no row at all."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


def _begin_sqlite(connection: sa.Connection, begin: tuple[str, ...]) -> None:
    """Not through SQLAlchemy, which would take as long for these statements as for one that works."""
    cursor = connection.connection.cursor()
    for statement in begin:
        cursor.execute(statement)
    cursor.close()


def _cause(error: BaseException) -> BaseException:
    """The driver's own error below SQLAlchemy's."""
    return getattr(error, "orig", None) or error


def _sqlite_hint(why: str, file: Path, *, absent: bool) -> str:
    if absent:
        return "there is no such file yet: run `certfleet-issuer db upgrade`, or correct database.url"
    if any(word in why for word in ("readonly", "unable to open", "Permission denied")):
        if not os.path.isdir(file.parent):
            return "check that the folder exists and may be entered"
        beside = [file.with_name(file.name + suffix) for suffix in ("-wal", "-shm")]  # while a process has it open
        closed = (one for one in beside if os.path.lexists(one) and not os.access(one, _READ_WRITE))
        return owner_hint(next(closed, file))
    if "no such table" in why or "no such column" in why:
        return "run `certfleet-issuer db upgrade`"
    if "locked" in why:
        return "another program locks the file: find it with `fuser`, and end it or its transaction"
    if "full" in why or "I/O error" in why:  # of a full disk: which one depends on the write
        return "free space on that file system; if it has space, look in the kernel's log for a failing disk"
    return "check that the file is a SQLite database, and that the disk is healthy"
