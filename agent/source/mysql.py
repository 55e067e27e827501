"""Certificates from MySQL or MariaDB through an account that may read them and write its own reports, nothing else.

It reads the view ``agent_certs``, or the table ``certs`` where an earlier `db grants` gave it that.

TLS is verified, host name included, always: PyMySQL's own defaults verify nothing, and ``ssl_ca`` alone accepts a
certificate of any CA, so only an SSLContext is ever handed to it. Plain text passes over a unix socket alone.
"""

import contextlib
import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pymysql
from pymysql.constants import CLIENT

from agent.host.waits import Waits
from agent.model.errors import SourceError, Stopped
from agent.model.offer import Mark, Offer
from agent.model.result import Result
from agent.source.columns import OFFER_COLUMNS, newest
from common import mysql_session
from common.chunks import chunks
from common.database_url import MysqlAddress
from common.deadline import Allowance, Deadline
from common.mysql_connection import NO_SUCH_ROWS, SLOW_SECONDS, BoundedConnection, Unanswered
from common.mysql_errors import AGAIN, CROWDED_CODES, About, about, code_of, text_of
from common.pem import LARGEST
from common.tls import trusting

T = TypeVar("T")
_Row = tuple[object, ...]

_CONNECT_TIMEOUT = 10  # seconds
_IO_TIMEOUT = 30
_PATIENCE = 120.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 3.0  # seconds; each pause is a random part of it, so that agents do not meet again
_ROWS_AT_ONCE = 50
_NAME = "LOWER(CONVERT(name USING utf8mb4))"  # as in agent.toml: the server ignores case, and may have it in bytes
_LONGEST_ANSWER = 16_000_000  # bytes; the marks of 100,000 names, or three cells
_NO_VIEW = (1142, 1146)  # a view that this account may not read; a database of an earlier certfleet
_UNREACHABLE = "check host and port in [source] url, tls_ca, and that the server is running; the next run tries again"
_NO_CA = "copy the CA of the database server there, which `certfleet-issuer db tls` made, as ca.pem"
_SPREAD = "spread the agents: RandomizedDelaySec of their timer"
_UNANSWERED = f"check that the server is running, and the way to it; if it has too many to answer, {_SPREAD}"
_HINTS = {
    About.TLS: (
        "the server's certificate is not signed by [source] tls_ca, or not for this host name; or it has no TLS"
        " (`certfleet-issuer db tls` makes one). It is never ignored"
    ),
    About.LOGIN: "check the user in [source] url, password_file, and the grants (`certfleet-issuer db grants`)",
    About.RIGHTS: "print the grants this account needs with `certfleet-issuer db grants`, and let them be applied",
    About.DUPLICATE: "this host's row was written by another account: let `certfleet-issuer hosts forget` delete it",
    About.CROWDED: f"raise max_connections of the server, or {_SPREAD}",
    About.FULL: (
        "let `certfleet-issuer hosts forget` delete the rows of hosts that are no more, or give each host an account"
    ),
    About.READ_ONLY: (
        "the server is read-only: it serves certificates, and takes no report; name the primary in [source] url"
    ),
    About.SCHEMA: "run `certfleet-issuer db upgrade` on the issuer",
}


class MysqlSource:
    """The Source over MySQL or MariaDB. An answer gets *patience* seconds, connecting included: a server that sends a
    byte a second stays within every time limit of a socket. A server that gave no answer in time is not asked again."""

    def __init__(
        self, address: MysqlAddress, password: str, tls_ca: Path | None, waits: Waits, patience: float = _PATIENCE
    ):
        self._address = address
        self._password = password
        self._tls_ca = tls_ca
        self._waits = waits
        self._patience = patience
        self._given_up: SourceError | None = None
        self._allowance = Allowance(SLOW_SECONDS)
        self._connection: BoundedConnection | None = None
        self._certs = "agent_certs"

    def marks(self, names: Sequence[str]) -> dict[str, Mark]:
        if not names:
            return {}

        def read(rows: Sequence[tuple[Any, ...]]) -> dict[str, Mark]:
            return {str(name).strip(): Mark.of_cells(*cells) for name, *cells in rows}

        def ask(more: str) -> dict[str, Mark]:
            return self._of_certs(f"{_NAME}, ts_last_update, ts_expire{more}", "name IN %s", (tuple(names),), read)

        return newest((", LEFT(enable, 9)", ""), ask, _lacks_column)

    def fetch(self, name: str) -> Offer | None:
        def read(rows: Sequence[tuple[Any, ...]]) -> Offer | None:
            return Offer.of_cells(*rows[0]) if rows else None

        def ask(columns: Sequence[str]) -> Offer | None:
            cells = ", ".join(f"LEFT({column}, {LARGEST + 1})" for column in columns)
            return self._of_certs(cells, "name = %s", (name,), read)

        return newest(OFFER_COLUMNS, ask, _lacks_column)

    def report(self, results: Sequence[Result], host: str, moment: int) -> dict[str, SourceError]:
        """Write some rows in each transaction: each gets the patience of one question, over a slow line too."""
        refused: dict[str, SourceError] = {}
        for some in chunks(results, _ROWS_AT_ONCE):
            rows = {one.name: (*one.columns(), moment, one.name, host) for one in some}
            refused |= self._within(partial(self._write, rows))
        return refused

    def _write(self, rows: Mapping[str, _Row], cursor: pymysql.cursors.Cursor) -> dict[str, SourceError]:
        refused: dict[str, SourceError] = {}
        known = self._known(rows, cursor)
        cursor.execute("START TRANSACTION")
        for name, row in rows.items():
            try:
                self._write_one(row, cursor, is_new=name not in known)
            except (pymysql.IntegrityError, pymysql.DataError) as error:  # the server undoes this statement alone
                refused[name] = self._explained(error)
        cursor.execute("COMMIT")
        return refused

    def _known(self, rows: Mapping[str, _Row], cursor: pymysql.cursors.Cursor) -> set[str]:
        """The names of which there is a row of ours. An UPDATE that finds none would lock the gap in which it looked,
        and many agents with their first report would then wait for each other: a deadlock."""
        (*_, host) = next(iter(rows.values()))
        query = f"SELECT {_NAME} FROM own_installations WHERE host = %s AND name IN %s"  # noqa: S608 - our own words
        cursor.execute(query, (host, tuple(rows)))
        return {str(found).strip() for (found,) in cursor.fetchall()}

    def _write_one(self, row: _Row, cursor: pymysql.cursors.Cursor, *, is_new: bool) -> None:
        """Change our row through the view, which shows no other account's; add it when there is none yet.

        Not one statement with ON DUPLICATE KEY UPDATE: that one could take over a row of another account.
        """
        changed = not is_new and cursor.execute(
            "UPDATE own_installations SET sha256 = %s, not_after = %s, state = %s, detail = %s, ts_report = %s"
            " WHERE name = %s AND host = %s",
            row,
        )
        if not changed:
            cursor.execute(
                "INSERT INTO own_installations (sha256, not_after, state, detail, ts_report, name, host, account)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                (*row, self._address.user),
            )

    def confirm(self, results: Sequence[Result], host: str, moment: int) -> int:
        change = "UPDATE own_installations SET ts_report = %s WHERE host = %s AND name IN %s"
        change += " AND (name, state, sha256) IN %s"  # beside the names, by which the server finds them
        told = tuple((one.name, one.outcome.value, one.columns()[0]) for one in results)
        facts = (moment, host, tuple(one.name for one in results), told)
        return self._within(lambda cursor: int(cursor.execute(change, facts)))

    def moment(self) -> float | None:
        def ask(cursor: pymysql.cursors.Cursor) -> float:
            cursor.execute("SELECT UNIX_TIMESTAMP()")
            ((found,),) = cursor.fetchall()
            return float(found)

        return self._within(ask)

    def close(self) -> None:
        if self._connection is not None and self._connection.open:
            self._connection.close()
        self._connection = None

    def _of_certs(
        self,
        columns: str,
        condition: str,
        arguments: tuple[object, ...],
        read: Callable[[Sequence[tuple[Any, ...]]], T],
    ) -> T:
        """What *read* makes of the rows."""

        def ask(cursor: pymysql.cursors.Cursor) -> T:
            try:
                cursor.execute(f"SELECT {columns} FROM {self._certs} WHERE {condition}", arguments)  # noqa: S608
            except pymysql.MySQLError as error:
                if code_of(error) not in _NO_VIEW or self._certs == "certs":
                    raise
                self._certs = "certs"
                cursor.execute(f"SELECT {columns} FROM {self._certs} WHERE {condition}", arguments)  # noqa: S608
            return read(cursor.fetchall())

        return self._within(ask)

    def _within(self, work: Callable[[pymysql.cursors.Cursor], T]) -> T:
        """The result of *work*, which is left to its thread if it takes too long."""
        if self._given_up is not None:
            raise self._given_up

        try:
            return self._waits.within(self._patience, partial(self._tried, work))
        except TimeoutError as error:
            self._connection = None
            what = f"the database on {self._address} cannot be used"
            self._given_up = SourceError(what, why=str(error), hint=_UNREACHABLE)
            raise self._given_up from error
        except SourceError as error:
            if isinstance(error.__cause__, Unanswered):
                self._given_up = error
            raise
        except Stopped:
            self._connection = None
            raise

    def _tried(self, work: Callable[[pymysql.cursors.Cursor], T]) -> T:
        """The result of *work*, tried again for half of our patience while others are in its way: a server with too
        many of them has no connection left, or answers no login in time."""
        deadline, longest = Deadline(self._patience / 2), _FIRST_PAUSE
        while True:
            try:
                with self._cursor() as cursor:
                    return work(cursor)
            except SourceError as error:
                if deadline.over or not _is_in_the_way(error.__cause__ or error):
                    raise
            time.sleep(longest * (1 + os.urandom(1)[0]) / 256)
            longest = min(2 * longest, _LONGEST_PAUSE)

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[pymysql.cursors.Cursor]:
        try:
            if self._connection is None:
                self._connection = self._connect()
            with self._connection.cursor() as cursor:
                yield cursor
        except (pymysql.MySQLError, OSError, *NO_SUCH_ROWS) as error:  # ssl.SSLError is an OSError
            self.close()
            raise self._explained(error) from error

    def _connect(self) -> BoundedConnection:
        address = self._address
        where: dict[str, Any] = {"unix_socket": address.socket}
        if not address.socket:
            [(host, port)] = address.hosts
            where = {"host": host, "port": port, "ssl": self._tls()}
        return BoundedConnection(
            allowance=self._allowance,
            longest_answer=_LONGEST_ANSWER,
            login_seconds=self._patience / 4,  # so that a login without an answer is tried again
            **where,
            user=address.user,
            password=self._password.encode(),  # PyMySQL would make text Latin-1
            database=address.database,
            **mysql_session.OPTIONS,
            autocommit=True,
            client_flag=CLIENT.FOUND_ROWS,  # an UPDATE to the same values still found its row
            connect_timeout=_CONNECT_TIMEOUT,
            read_timeout=_IO_TIMEOUT,
            write_timeout=_IO_TIMEOUT,
        )

    def _tls(self) -> ssl.SSLContext:
        try:
            return trusting(self._tls_ca)
        except OSError as error:  # of the file, or of its content
            file = f"{self._tls_ca} is no readable file of certificates"
            what = f"the database on {self._address} cannot be asked: {file}"
            raise SourceError(what, why=text_of(error), hint=_NO_CA) from error

    def _explained(self, error: Exception) -> SourceError:
        what = f"the database on {self._address} cannot be used"
        hint = _UNANSWERED if isinstance(error, Unanswered) else _HINTS.get(about(error), _UNREACHABLE)
        return SourceError(what, why=text_of(error), hint=hint)


def _lacks_column(error: BaseException | None) -> bool:
    return error is not None and about(error) is About.SCHEMA


def _is_in_the_way(error: BaseException) -> bool:
    """May it go well once other clients have gone?"""
    return isinstance(error, Unanswered) or code_of(error) in AGAIN | CROWDED_CODES
