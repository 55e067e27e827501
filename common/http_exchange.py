"""One HTTP exchange over a connection that is there (RFC 9112), bounded in bytes and time. Its answer is hostile."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any

from common.deadline import Deadline, Incoming
from common.names import in_url

_PORTS = {"http": 80, "https": 443}
_ALWAYS = {"User-Agent": "certfleet", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}


def authority(scheme: str, host: str, port: int) -> str:
    """The value of the header Host: *host*, and *port* unless it is that of *scheme*, "http" or "https"."""
    return in_url(host) if port == _PORTS[scheme] else f"{in_url(host)}:{port}"


@contextmanager
def exchange(
    connection: socket.socket, line: str, headers: dict[str, str], deadline: Deadline, most: int, *, body: bytes = b""
) -> Iterator[HTTPResponse]:
    """The answer to the request *line*, as "GET /x", with its header read; at most *most* bytes of it can be read.
    Raises OSError, TimeoutError after *deadline*, HTTPException, and ValueError for text that is not ASCII."""
    lines = [f"{line} HTTP/1.1", *(f"{name}: {value}" for name, value in (headers | _ALWAYS).items())]
    connection.sendall("\r\n".join([*lines, "", ""]).encode("ascii") + body)
    incoming: Any = Incoming(connection, deadline, most)
    with HTTPResponse(incoming, method=line.partition(" ")[0]) as response:
        response.begin()
        yield response
