"""The bytes of one look, in clear: bounded, and never beyond the deadline of the look."""

import errno
import io
import ipaddress
import socket
import struct

from common.deadline import Deadline, Incoming

_MOST = 1_000_000  # bytes received in one look
_LONGEST_LINE = 4096
_V2_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_V2_PROXY = 0x21  # version 2, command PROXY


class Unasked(OSError):
    """Nobody could be asked; the text says why."""


class Silent(Unasked):
    """Nobody answered, and nobody refused."""


class Wire:
    """A connection. Everything that is received passes through one buffer. Methods that send or receive raise OSError;
    ConnectionAbortedError where the peer ends, or breaks a bound."""

    def __init__(self, connection: socket.socket, deadline: Deadline):
        self._connection = connection
        self._deadline = deadline
        self._received = io.BufferedReader(Incoming(connection, deadline, _MOST))

    def send(self, data: bytes) -> None:
        self._connection.settimeout(self._deadline.left())
        self._connection.sendall(data)

    def some(self) -> bytes:
        """The bytes that have come, at least one; b"" at the end."""
        return self._received.read1(65536)

    def exactly(self, count: int) -> bytes:
        data = self._received.read(count)
        if len(data) < count:
            raise _ended()
        return data

    def line(self) -> bytes:
        """The next line, without its end."""
        line = self._received.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise _ended() if len(line) < _LONGEST_LINE else ConnectionAbortedError(errno.EMSGSIZE, "endless line")
        return line.rstrip(b"\r\n")

    def until(self, *ends: bytes) -> bytes:
        """Everything up to one of *ends* and what came with it."""
        data = b""
        while not any(end in data for end in ends):
            more = self.some()
            if not more:
                raise _ended()
            data += more
        return data

    @property
    def own_address(self) -> str:
        """The address of this end."""
        return str(self._connection.getsockname()[0])

    def send_proxy_header(self, version: str) -> None:
        """The PROXY protocol's header (haproxy.org, proxy-protocol.txt §2) with the two ends of this connection."""
        (own, own_port), (peer, peer_port) = self._connection.getsockname()[:2], self._connection.getpeername()[:2]
        is_ipv4 = self._connection.family == socket.AF_INET
        if version == "v1":
            family = "TCP4" if is_ipv4 else "TCP6"
            self.send(f"PROXY {family} {own} {peer} {own_port} {peer_port}\r\n".encode("ascii"))
            return
        ends = ipaddress.ip_address(own).packed + ipaddress.ip_address(peer).packed
        ends += struct.pack("!HH", own_port, peer_port)
        self.send(_V2_SIGNATURE + struct.pack("!BBH", _V2_PROXY, 0x11 if is_ipv4 else 0x21, len(ends)) + ends)


def _ended() -> ConnectionAbortedError:
    return ConnectionAbortedError(errno.ECONNABORTED, "it ends the connection")
