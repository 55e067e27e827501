"""Messages of name servers, hostile ones among them: over TCP (RFC 7766), and read in a bounded time.

A message of 64 KB may hold thousands of records with a name of 128 labels each, which it says in two bytes: the library
takes 20 seconds of processor for it, and a zone may have a hundred servers.
"""

import errno
import socket
from typing import Any

import dns.exception
import dns.message

from common.deadline import Deadline, Incoming
from issuer.dns.servers import Server

_LONGEST = 2 + 65535  # bytes of a message with its length before it (RFC 1035 §4.2.2)
_MOST_RECORDS = 1200  # 64 KB hold no more answers to challenges, of 43 characters each
_COUNTS = (6, 8, 10)  # where the header has the number of records of a section (RFC 1035 §4.1.1)


def parsed(wire: bytes, **options: Any) -> dns.message.Message:
    """The message in *wire*, by the *options* of the library. Raises DNSException."""
    records = sum(int.from_bytes(wire[at : at + 2]) for at in _COUNTS)
    if records > _MOST_RECORDS:
        why = f"{records} records, and more than {_MOST_RECORDS} are not read"
        raise dns.exception.FormError(why)  # type: ignore[no-untyped-call]
    return dns.message.from_wire(wire, **options)


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
