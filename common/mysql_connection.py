"""A connection to MySQL or MariaDB whose peer cannot fill our memory, whoever it is.

PyMySQL takes any number of packets of 16 MB for one message, before TLS too: whoever is on the way may send them.
"""

import math
from typing import Any

import pymysql
from pymysql.constants import CR

_LONGEST_HANDSHAKE = 1_000_000  # bytes


class BoundedConnection(pymysql.connections.Connection):
    """As ``pymysql.connect``. *longest_answer*: the most bytes of an answer to a statement. OperationalError when the
    peer sends more."""

    def __init__(self, *, longest_answer: float = math.inf, **options: Any):
        self._longest_answer = longest_answer
        self._room: float = _LONGEST_HANDSHAKE
        super().__init__(**options)

    def connect(self, sock: Any = None) -> None:
        self._room = _LONGEST_HANDSHAKE
        super().connect(sock)

    def _execute_command(self, command: Any, sql: Any) -> None:
        self._room = self._longest_answer
        super()._execute_command(command, sql)  # type: ignore[misc]  # the stubs name no private methods

    def _read_bytes(self, num_bytes: int) -> bytes:
        self._room -= num_bytes
        if self._room < 0:
            self._force_close()  # type: ignore[attr-defined]
            raise pymysql.OperationalError(CR.CR_NET_PACKET_TOO_LARGE, "its answer is longer than any good one")
        read: bytes = super()._read_bytes(num_bytes)  # type: ignore[misc]
        return read
