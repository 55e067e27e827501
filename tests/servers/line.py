"""The network between two parties, in the hands of somebody: TCP that he reads, changes, ends, or answers himself."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.servers.authority import Files
from tests.servers.ports import LOOPBACK, free_port, release_port

_SECONDS = 30
_PIECE = 65536
Change = Callable[[bytes], bytes | None]
"""Bytes that passed → those that go on; None: he ends both connections."""


class Line:
    """Context manager. Clients connect to `port` and mean *server*, (host, port). `seen` is all that passed in either
    direction, and `met` the connections. *up* changes what goes to the server, *down* what comes back."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.server = server
        self.port = free_port()
        self.up: Change = bytes
        self.down: Change = bytes
        self.seen = b""
        self.met = 0
        self._listener: socket.socket

    def __enter__(self) -> Self:
        self._listener = socket.create_server((LOOPBACK, self.port))
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # which ends its thread
        self._listener.close()
        release_port(self.port)

    def serve(self, client: socket.socket) -> None:
        """One connection, to its end."""
        with socket.create_connection(self.server, _SECONDS) as server:
            server.settimeout(_SECONDS)
            back = threading.Thread(target=self._pump, args=(server, client, "down"), daemon=True)
            back.start()
            self._pump(client, server, "up")
            back.join()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._served, args=(self._listener.accept()[0],), daemon=True).start()

    def _served(self, client: socket.socket) -> None:
        client.settimeout(_SECONDS)
        self.met += 1
        with client, contextlib.suppress(OSError, EOFError):  # one side has gone
            self.serve(client)

    def _pump(self, source: socket.socket, target: socket.socket, way: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_PIECE):
                self.seen += data
                change: Change = getattr(self, way)
                passed = change(data)
                if passed is None:
                    break
                target.sendall(passed)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class DnsLine(Line):
    """The same before a name server; questions by UDP pass too, and *lie* changes their answers."""

    def __init__(self, server: tuple[str, int]) -> None:
        super().__init__(server)
        self.lie: Callable[[bytes], bytes] = bytes

    def __enter__(self) -> Self:
        super().__enter__()
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind((LOOPBACK, self.port))
        threading.Thread(target=self._relay, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._datagrams.shutdown(socket.SHUT_RDWR)  # which ends its thread
        self._datagrams.close()
        super().__exit__(kind, error, trace)

    def _relay(self) -> None:
        while True:
            try:
                question, client = self._datagrams.recvfrom(_PIECE)
            except OSError:
                return
            if not question:
                return
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, contextlib.suppress(OSError):
                server.settimeout(_SECONDS)
                server.connect(self.server)
                server.send(question)
                self._datagrams.sendto(self.lie(server.recv(_PIECE)), client)


class MysqlLine(Line):
    """The same before a MySQL or MariaDB server. He can say that it speaks no TLS (`strip`), and pose as the server
    with a certificate (`pose_with`): then he asks for the password in clear, and `password` is what he was told."""

    _TLS = 0x0800  # CLIENT_SSL
    _LOWER_FLAGS = 13  # octets behind the version: id, salt and a filler (protocol 10)

    def __init__(self, server: tuple[str, int]) -> None:
        super().__init__(server)
        self.password = ""
        self._files: Files | None = None

    def strip(self) -> None:
        """From now on."""
        self.down = self._without_tls

    def pose_with(self, files: Files | None) -> None:
        """From now on; None: no more."""
        self._files = files

    def serve(self, client: socket.socket) -> None:
        if self._files is None:
            super().serve(client)
            return
        with socket.create_connection(self.server, _SECONDS) as server:
            client.sendall(server.recv(_PIECE))  # the real greeting
        _packet(client)  # a request for TLS
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._files.fullchain, self._files.key)
        with context.wrap_socket(client, server_side=True) as secured:
            _packet(secured)
            question = b"\xfemysql_clear_password\0"
            secured.sendall(len(question).to_bytes(3, "little") + b"\3" + question)
            self.password = _packet(secured).rstrip(b"\0").decode()

    def _without_tls(self, data: bytes) -> bytes:
        """Only the greeting has the version 10 as its first octet."""
        if data[4:5] != b"\x0a":
            return data
        at = data.index(b"\0", 5) + 1 + self._LOWER_FLAGS
        flags = int.from_bytes(data[at : at + 2], "little") & ~self._TLS
        return data[:at] + flags.to_bytes(2, "little") + data[at + 2 :]


def _packet(connection: socket.socket) -> bytes:
    """The content of one packet of the protocol."""
    head = _exactly(connection, 4)
    return _exactly(connection, int.from_bytes(head[:3], "little"))


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data
