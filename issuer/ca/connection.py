"""HTTPS connections to a CA whose answers come to an end: an answer as a whole has a deadline and a size.

A time limit for each read, which is all that urllib3 has, lets a server go on for ever: with a byte every second, or
with one `100 Continue` after another (RFC 9110 §15.2). The limits stand below urllib3, where the bytes come in, so they
hold for status, headers and body alike, and for the answer of a proxy.
"""

import io
import logging
import socket
import time
from http.client import HTTPResponse
from typing import Any

import urllib3
import urllib3.connection

ANSWER_SECONDS = 60.0  # from the request to the last byte of the answer
_MOST_RECEIVED = 4_000_000  # bytes; more than any answer that is taken, with all its headers

# it repeats malformed headers, with tracebacks on stderr
logging.getLogger("urllib3").setLevel(logging.CRITICAL + 1)


class _Incoming(io.RawIOBase):
    """What the server sends, until the deadline and not without end; each wait as short as the socket has it."""

    def __init__(self, connection: socket.socket):
        super().__init__()
        self._connection = connection
        self._source = connection.makefile("rb", buffering=0)  # keeps the connection open until it is read
        self._patience = connection.gettimeout() or ANSWER_SECONDS
        self._until = time.monotonic() + ANSWER_SECONDS
        self._left = _MOST_RECEIVED

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        remaining = self._until - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._connection.settimeout(min(remaining, self._patience))
        count = self._source.readinto(memoryview(buffer)[: self._left])
        self._left -= count or 0
        return count

    def close(self) -> None:
        self._source.close()
        super().close()


class _Answer(HTTPResponse):
    def __init__(self, sock: Any, *arguments: Any, **named: Any):
        super().__init__(_Incoming(sock), *arguments, **named)  # type: ignore[arg-type]  # it only makes a file of it


class _Connection(urllib3.connection.HTTPSConnection):
    response_class = _Answer


class _Pool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Connection


def pool_manager(proxy: str, **options: Any) -> urllib3.PoolManager:
    """Connections with such answers, through *proxy* if it is not ""; for https:// and nothing else."""
    manager = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
    manager.pool_classes_by_scheme = {"https": _Pool}
    return manager
