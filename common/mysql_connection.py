"""A connection to MySQL or MariaDB whose peer can neither fill our memory nor hold us for ever, whoever it is, and
whose every answer is an answer or an error of PyMySQL.

PyMySQL takes any number of packets of 16 MB for one message, before TLS too: anybody on the way may send them. And
its time limits hold for each wait alone, so that a byte a second never exceeds them. An answer that breaks the
protocol meets whatever error of Python its parser comes to; so does one that asks for a file of ours (LOCAL INFILE).
"""

import math
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymysql
from pymysql.constants import CR

from common.deadline import Allowance, Deadline

_LONGEST_HANDSHAKE = 1_000_000  # bytes
_LOGIN_SECONDS = 30.0
_USUAL_SECONDS = 1.0  # of an answer, which no allowance counts
SLOW_SECONDS = 600.0  # an allowance, as docs/trust.md states it
_BROKEN = (
    *(ValueError, TypeError, LookupError, ArithmeticError),
    *(AssertionError, AttributeError, RuntimeError, struct.error),
)
"""Errors of PyMySQL's parser for an answer that is none."""
NO_SUCH_ROWS = (TypeError, ValueError, IndexError)
"""Errors of who reads rows of another shape than the question has: a server may answer what it likes."""


class Unanswered(pymysql.OperationalError):
    """The server gave no answer while a login waited for one: nothing was begun."""


class BoundedConnection(pymysql.connections.Connection):
    """As ``pymysql.connect``. *longest_answer*: the most bytes of an answer to a statement; *answer_seconds*: the time
    in which all of it has to come. OperationalError when the peer sends more, or is slower; Unanswered in a login,
    which has *login_seconds* at most, and half a minute. *allowance*: for the slow answers of all connections to that
    peer."""

    def __init__(
        self,
        *,
        allowance: Allowance,
        longest_answer: float = math.inf,
        answer_seconds: float = 300.0,
        login_seconds: float = math.inf,
        **options: Any,
    ):
        self._allowance = allowance
        self._longest_answer = longest_answer
        self._answer_seconds = answer_seconds
        self._login_seconds = login_seconds
        super().__init__(**options)

    def connect(self, sock: Any = None) -> None:
        self._late = CR.CR_CONN_HOST_ERROR  # it is not tried once more
        self._expect(_LONGEST_HANDSHAKE, min(_LOGIN_SECONDS, self._login_seconds, self._answer_seconds))
        try:
            with self._parsed():
                super().connect(sock)
        except pymysql.OperationalError as error:
            if isinstance(getattr(error, "original_exception", error.__cause__), TimeoutError):
                raise Unanswered(*error.args) from error
            raise

    def _expect(self, most: float, seconds: float) -> None:
        if self._allowance.spent:
            why = f"its slow answers took {self._allowance.seconds:g} s within an hour"
            raise pymysql.OperationalError(CR.CR_CONN_HOST_ERROR, why)
        self._room, self._deadline, self._usual = most, Deadline(seconds), _USUAL_SECONDS

    def _execute_command(self, command: Any, sql: Any) -> None:
        self._late = CR.CR_SERVER_LOST  # SQLAlchemy lets go of such a connection, without a ROLLBACK
        self._expect(self._longest_answer, self._answer_seconds)
        super()._execute_command(command, sql)  # type: ignore[misc]  # the stubs name no private methods

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        with self._parsed():
            return super()._read_query_result(unbuffered)  # type: ignore[misc]

    def _read_ok_packet(self) -> Any:
        with self._parsed():
            return super()._read_ok_packet()  # type: ignore[misc]

    @contextmanager
    def _parsed(self) -> Iterator[None]:
        """While an answer is read: OperationalError for one that is no answer. The connection is of no use then."""
        try:
            yield
        except _BROKEN as error:
            self._force_close()  # type: ignore[attr-defined]
            why = f"its answer is none: {(str(error) or type(error).__name__)[:200]}"
            raise pymysql.OperationalError(CR.CR_MALFORMED_PACKET, why) from error

    def _read_bytes(self, num_bytes: int) -> bytes:
        self._room -= num_bytes
        if self._room < 0:
            self._force_close()  # type: ignore[attr-defined]
            raise pymysql.OperationalError(CR.CR_NET_PACKET_TOO_LARGE, "its answer is longer than any good one")
        found = bytearray()
        try:
            while len(found) < num_bytes and (some := self._read_some(num_bytes - len(found))):
                found += some
        except OSError as error:
            self._force_close()  # type: ignore[attr-defined]
            if self._deadline.over:
                why = f"no answer within {self._deadline.seconds:g} s"
                raise pymysql.OperationalError(self._late, why) from error
            raise pymysql.OperationalError(CR.CR_SERVER_LOST, f"the connection was lost: {error}") from error
        if len(found) < num_bytes:
            self._force_close()  # type: ignore[attr-defined]
            raise pymysql.OperationalError(CR.CR_SERVER_LOST, "the server has closed the connection")
        return bytes(found)

    def _read_some(self, most: int) -> bytes:
        """The bytes that one wait brings, b"" at the end. Raises OSError."""
        stream, connection, one_wait = self._rfile, self._sock, self._read_timeout  # type: ignore[attr-defined]
        connection.settimeout(min(self._deadline.left(), one_wait or math.inf))
        began = time.monotonic()
        try:
            some: bytes = stream.read1(most)
            return some
        finally:
            connection.settimeout(one_wait)
            self._usual -= time.monotonic() - began
            if self._usual < 0:
                self._allowance.spend(-self._usual)
                self._usual = 0.0
