"""The MySQL and MariaDB servers of one address: which of them a connection goes to, and what to do about their errors.

Every connection goes to a server that takes writes, as long as there is one, also for reading: a replica may be behind,
and a former primary stays behind for ever. A read-only server serves readers if there is no other.
"""

import ssl
import threading
from collections.abc import Mapping
from typing import Any

import pymysql
from pymysql.constants import CLIENT, CR

from common import mysql_session
from common.database_url import MysqlAddress
from common.deadline import Allowance
from common.mysql_connection import NO_SUCH_ROWS, SLOW_SECONDS, BoundedConnection
from common.mysql_errors import READ_ONLY_CODES, About, about

_NOT_READY = 1047  # a Galera node without quorum
AGAIN_ELSEWHERE = READ_ONLY_CODES | {_NOT_READY, 2006, 2013}  # the last two: a connection that broke
ELSEWHERE = AGAIN_ELSEWHERE | {2003}  # a server that cannot be reached, or was slower than any good one
_HINTS = {
    About.LOGIN: "check user, password_file, and from which hosts and by which method the account may log in",
    About.RIGHTS: "grant this account its rights; the issuer needs all of them on its own database",
    About.NO_DATABASE: "create the database first",
    About.SCHEMA: "run `certfleet-issuer db upgrade`",
    About.CHARACTERS: (
        "a column of the classic scripts takes only characters of its own set, often latin1: write the text otherwise"
    ),
    About.ROOM: "shorten that text, or widen the column: `db upgrade` widens those that certificates need",
    About.READ_ONLY: ("no server in [database] url takes writes: start or name the primary, or end its read-only mode"),
    About.LOCKED: (
        "a connection keeps rows locked: `SELECT trx_mysql_thread_id, trx_started FROM information_schema.INNODB_TRX`"
        " shows which; `KILL` the oldest, and drop its account if it is one of an agent"
    ),
    About.CROWDED: "raise max_connections of the server, or let its other clients come one after another",
    About.UNREACHABLE: "check that the server runs and that host and port in [database] url are right",
    About.TLS: (
        "check tls_ca in [database]: the CA that signed the server's certificate, for exactly this host name; a server"
        " that offers no TLS needs it (`certfleet-issuer db tls`)"
    ),
}
_STATE = (  # MariaDB 10 knows the older name of the last one
    "SHOW VARIABLES WHERE Variable_name IN"
    " ('wsrep_on', 'read_only', 'innodb_read_only', 'transaction_read_only', 'tx_read_only')"
)


def hint(error: BaseException, address: MysqlAddress) -> str:
    """The hint for an error of a server or of PyMySQL."""
    of = about(error)
    if of is About.UNREACHABLE and address.socket:
        return f"check that the server runs, that its socket is {address.socket}, and that this user may open it"
    if of is About.LOGIN and address.socket:
        return f"{_HINTS[of]}; by a socket often for that system user alone: runuser -u {address.user} -- …"
    return _HINTS.get(of, "look at the database server's log")


def certificate_life(connection: Any) -> tuple[int, int] | None:
    """Start and end of the server's certificate (epoch seconds); None without TLS."""
    transport = connection._sock  # PyMySQL has no other way to it
    peer = transport.getpeercert() if isinstance(transport, ssl.SSLSocket) else None
    if not peer:
        return None
    starts, ends = (int(ssl.cert_time_to_seconds(str(peer[part]))) for part in ("notBefore", "notAfter"))
    return starts, ends


def takes_writes(variables: Mapping[str, str]) -> bool:
    """Does a server take writes, by its SHOW VARIABLES? An account exempt from read_only must not write either."""
    return all(value == "OFF" for name, value in variables.items() if name.endswith("read_only"))


class MysqlServers:
    """The hosts of one address, tried in turn. Thread-safe."""

    def __init__(self, address: MysqlAddress, password: str, tls: ssl.SSLContext):
        self._ways: list[dict[str, Any]] = [{"host": host, "port": port, "ssl": tls} for host, port in address.hosts]
        if address.socket:
            self._ways = [{"unix_socket": address.socket}]
        self._first = 0  # counts up
        self._lock = threading.Lock()
        self._options: dict[str, Any] = {
            "user": address.user,
            "password": password.encode(),  # PyMySQL would make text Latin-1
            "database": address.database,
            **mysql_session.OPTIONS,
            "allowance": Allowance(SLOW_SECONDS),
            "connect_timeout": 10,
            "read_timeout": 120,
            "write_timeout": 120,
            "client_flag": CLIENT.FOUND_ROWS,  # an UPDATE counts rows matched, on which the leases rely
        }

    @property
    def first(self) -> int:
        """Counts up: which one is tried first."""
        return self._first

    def move_on(self, failed: int) -> None:
        """Try the next host first from now on: this *first* one failed. Does nothing where another thread has moved on
        from it already: together they would come back to it."""
        with self._lock:
            if self._first == failed:
                self._first += 1

    def connect(self) -> Any:
        """A connection to the first server that takes writes, else to the first that answers.

        Raises pymysql.MySQLError if none answers.
        """
        spare: Any = None  # to a server that is read-only
        last: Exception | None = None
        first = self._first % len(self._ways)
        for way in self._ways[first:] + self._ways[:first]:
            try:
                connection = BoundedConnection(**way, **self._options)
                writable = takes_writes(_make_ready(connection))
            except pymysql.MySQLError as error:
                last = error
                continue
            if writable:
                if spare is not None:
                    spare.close()
                return connection
            if spare is None:
                spare = connection
            else:
                connection.close()
        if spare is None:
            assert last is not None  # noqa: S101 - parse_database_url gives at least one way
            raise last
        return spare


def _make_ready(connection: Any) -> dict[str, str]:
    """The server's variables about writes. On Galera reads wait from now on for what any node committed.

    Raises pymysql.MySQLError, also for a node without quorum; the connection is closed then.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute(_STATE)
            variables: dict[str, str] = dict(cursor.fetchall())
            if variables.get("wsrep_on") == "ON":
                cursor.execute("SHOW STATUS LIKE 'wsrep_ready'")
                if cursor.fetchone()[1] != "ON":  # it accepts connections and refuses every query
                    raise pymysql.OperationalError(_NOT_READY, "this cluster node has no quorum")
                cursor.execute("SET SESSION wsrep_sync_wait = 1")  # 1 ms a read
    except NO_SUCH_ROWS as error:
        connection.close()
        raise pymysql.OperationalError(CR.CR_MALFORMED_PACKET, f"its answer is none: {error}") from error
    except pymysql.MySQLError:
        connection.close()
        raise
    return variables
