"""One DNS message and its answer over TCP (RFC 7766)."""

import errno
import socket

from common.deadline import Deadline, Incoming
from issuer.dns.servers import Server

_LONGEST = 2 + 65535  # bytes of a message with its length before it (RFC 1035 §4.2.2)


def over_tcp(server: Server, wire: bytes, deadline: Deadline) -> bytes:
    """The first message that *server* sends back. Raises OSError; at the deadline TimeoutError."""
    with socket.create_connection((server.address, server.port), deadline.left()) as connection:
        connection.sendall(len(wire).to_bytes(2) + wire)
        with Incoming(connection, deadline, _LONGEST).makefile() as incoming:
            size = incoming.read(2)
            answer = incoming.read(int.from_bytes(size))
    if not answer or len(answer) < int.from_bytes(size):
        raise ConnectionError(errno.ECONNRESET, "it closed the connection without an answer")
    return answer
