"""Connections and transactions; turns every driver error into a StoreError with what to do about it.

The driver is opened by ``_connect_*`` here rather than through a SQLAlchemy URL, so that TLS is always verified and
several hosts can be tried in turn.
"""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pymysql
import sqlalchemy as sa
from pymysql.constants import CLIENT

from common.errors import ConfigError, Finding
from common.files import read_password
from issuer.config import DatabaseSettings
from issuer.errors import StoreError
from issuer.store.address import MysqlAddress, SqliteAddress, parse_address
from issuer.trust import verified_tls

T = TypeVar("T")
_TRIES = 8
# deadlock (on Galera also the loser at COMMIT), lock wait timeout, the loser at COMMIT in MySQL's group replication
_AGAIN = frozenset({1213, 1205, 3101})
_NOT_READY = 1047  # a Galera node without quorum
_AGAIN_ELSEWHERE = frozenset({_NOT_READY, 2006, 2013})  # that, or a connection that broke
_TLS = 2026
# How a transaction begins on SQLite. With FULL a commit waits for the disk: an order URL must survive a power cut.
_DURABLE = ("PRAGMA synchronous=FULL", "BEGIN IMMEDIATE")
_WRITING = ("PRAGMA synchronous=NORMAL", "BEGIN IMMEDIATE")
_READING = ("BEGIN",)
_HINTS = {
    1044: "grant this account its rights on the database",
    1045: "check user, password_file and the host that the account is allowed from",
    1698: "check the user in [database] url, and that the account exists and may come in this way",
    1049: "create the database first",
    1142: "grant this account its rights; the issuer needs all of them on its own database",
    1146: "run `certfleet-issuer db upgrade`",
    1054: "run `certfleet-issuer db upgrade`",
    1290: "the server is read-only: point the url at the primary, or end its read-only mode",
    1836: "the server is read-only: point the url at the primary, or end its read-only mode",
    2003: "check that the server runs and that host and port in [database] url are right",
    _TLS: "check tls_ca in [database]: the CA that signed the server's certificate, for exactly this host name",
}


class Database:
    """One database for the life of the process. Thread-safe; connections are pooled."""

    def __init__(self, settings: DatabaseSettings):
        try:
            self._address = parse_address(settings.url)
        except ValueError as error:
            raise ConfigError("configuration", [Finding("database.url", str(error))]) from error
        # SQLite has one writer, and lets others ask again after pauses of up to 0.1 s: our own threads queue up instead
        self._turn = threading.Lock() if self.embedded else contextlib.nullcontext()
        if isinstance(self._address, SqliteAddress):
            self.place = str(self._address.file)
            self._engine = sa.create_engine(
                "sqlite://", creator=self._connect_sqlite, poolclass=sa.QueuePool, pool_size=32
            )
        else:
            self.place = ", ".join(f"{host}:{port}" for host, port in self._address.hosts) or self._address.socket
            self._password = read_password(settings.password_file) if settings.password_file else ""
            self._tls = verified_tls(settings.tls_ca, "database.tls_ca")
            self._first = 0  # where in the list of hosts a connection begins; moves on when a node is of no use
            creator = self._connect_mysql
            self._engine = sa.create_engine("mysql+pymysql://", creator=creator, pool_size=32, pool_pre_ping=True)

    @property
    def embedded(self) -> bool:
        return isinstance(self._address, SqliteAddress)

    def write(self, work: Callable[[sa.Connection], T], *, durable: bool = True) -> T:
        """Run *work* in one transaction; again from the start when it lost a deadlock or the server went away.

        A COMMIT whose answer was lost may have happened, so *work* must bear being done twice. Without *durable* the
        change outlives this process, but SQLite may lose it with the power: for what can be found out again.
        """
        with self._turn:
            return self._transact(work, _DURABLE if durable else _WRITING)

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Run *work* in a transaction that only reads, which takes no write lock in SQLite."""
        return self._transact(work, _READING)

    def close(self) -> None:
        self._engine.dispose()

    def _transact(self, work: Callable[[sa.Connection], T], begin: tuple[str, ...]) -> T:
        for attempt in range(_TRIES):
            try:
                with self._engine.connect() as connection, connection.begin():
                    if self.embedded:
                        _begin_sqlite(connection, begin)
                    return work(connection)
            except (sa.exc.SQLAlchemyError, sqlite3.Error, pymysql.MySQLError) as error:
                code = _code(error)
                if attempt == _TRIES - 1 or code not in _AGAIN | _AGAIN_ELSEWHERE:
                    raise self._store_error(error) from error
                if code in _AGAIN_ELSEWHERE:
                    self._leave_node()
                time.sleep(0.02 * 2**attempt)
        raise RuntimeError("not reached")

    def _leave_node(self) -> None:
        """Begin at the next host from now on, and drop the pooled connections, which lead to this one."""
        self._first += 1
        self._engine.dispose()

    def _store_error(self, error: Exception) -> StoreError:
        cause: BaseException = getattr(error, "orig", None) or error
        code = _code(error)
        why = str(cause.args[1]) if len(cause.args) > 1 else str(cause)
        if "CERTIFICATE_VERIFY_FAILED" in why:  # which PyMySQL reports as a server that cannot be reached
            code = _TLS
        hint = _HINTS.get(code, "look at the database server's log")
        if self.embedded:
            hint = _sqlite_hint(why)
        return StoreError(f"the database at {self.place} did not do its work", why=why.strip(), hint=hint)

    def _connect_sqlite(self) -> sqlite3.Connection:
        assert isinstance(self._address, SqliteAddress)  # noqa: S101
        # isolation_level None: transactions begin in _begin_sqlite, so that DDL rolls back too
        connection = sqlite3.connect(self._address.file, timeout=30, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        return connection

    def _connect_mysql(self) -> Any:
        assert isinstance(self._address, MysqlAddress)  # noqa: S101
        options: dict[str, Any] = {
            "user": self._address.user,
            "password": self._password,
            "database": self._address.database,
            "charset": "utf8mb4",
            "connect_timeout": 10,
            "read_timeout": 120,
            "write_timeout": 120,
            "client_flag": CLIENT.FOUND_ROWS,  # an UPDATE counts rows matched, on which the leases rely
        }
        if self._address.socket:
            return pymysql.connect(unix_socket=self._address.socket, **options)
        last: Exception | None = None
        hosts = self._address.hosts
        for host, port in hosts[self._first % len(hosts) :] + hosts[: self._first % len(hosts)]:
            try:
                return _fit_for_use(pymysql.connect(host=host, port=port, ssl=self._tls, **options))
            except pymysql.MySQLError as error:
                last = error
        assert last is not None  # noqa: S101 - parse_address gives at least one host
        raise last


def _fit_for_use(connection: Any) -> Any:
    """A connection whose node has quorum, and on Galera reads what was committed on any node before (1 ms a read)."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW VARIABLES LIKE 'wsrep_on'")
            found = cursor.fetchone()
            if found and found[1] == "ON":
                cursor.execute("SHOW STATUS LIKE 'wsrep_ready'")
                if cursor.fetchone()[1] != "ON":  # it accepts connections, and will refuse every table
                    raise pymysql.OperationalError(_NOT_READY, "this cluster node has no quorum")
                cursor.execute("SET SESSION wsrep_sync_wait = 1")
    except pymysql.MySQLError:
        connection.close()
        raise
    return connection


def _begin_sqlite(connection: sa.Connection, begin: tuple[str, ...]) -> None:
    """Past SQLAlchemy, which would take as long over these words as over a statement that works."""
    cursor = connection.connection.cursor()
    for statement in begin:
        cursor.execute(statement)
    cursor.close()


def _code(error: BaseException) -> int:
    cause = getattr(error, "orig", None) or error
    return cause.args[0] if cause.args and isinstance(cause.args[0], int) else 0


def _sqlite_hint(why: str) -> str:
    if "readonly" in why or "unable to open" in why:
        return "run as the user that owns the file and its folder, and check that the folder exists"
    if "no such table" in why or "no such column" in why:
        return "run `certfleet-issuer db upgrade`"
    if "full" in why or "I/O error" in why:  # a full disk is the one or the other, by what SQLite was writing
        return "free space on that file system; if there is some, look at the kernel's log for a failing disk"
    return "check that the file is a SQLite database and that the disk is sound"
