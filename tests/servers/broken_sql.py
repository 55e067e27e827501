"""A server of MySQL's protocol whose answers are none: they break it, have another shape than the question, or ask for
files."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

_PROTOCOL = b"\x0a5.5.5-10.11.0-MariaDB\0" + struct.pack("<I", 1) + b"12345678\0"
_CAPABILITIES = struct.pack("<HBHH", 0xF7FF, 45, 2, 0xFF)  # without TLS: the line is a socket of this machine
GREETING = _PROTOCOL + _CAPABILITIES + b"\x15" + bytes(10) + b"123456789012\0mysql_native_password\0"
DONE = b"\0\0\0\2\0\0\0"
END = b"\xfe\0\0\2\0"


def _counted(content: bytes) -> bytes:
    return bytes([len(content)]) + content


def _column(kind: int = 253, charset: int = 45) -> bytes:
    names = b"".join(map(_counted, (b"def", b"", b"t", b"t", b"a", b"a")))
    return names + b"\x0c" + struct.pack("<HIBHB", charset, 1000, kind, 0, 0) + bytes(2)


def _rows(*cells: bytes, kind: int = 253, charset: int = 45) -> list[bytes]:
    """An answer of one column."""
    return [b"\1", _column(kind, charset), END, *map(_counted, cells), END]


ANSWERS: dict[str, Sequence[bytes]] = {
    "asks for a file of ours": [b"\xfb/etc/passwd"],
    "nothing": [b""],
    "columns without measure": [b"\xfe" + b"\xff" * 8],
    "no decimal": _rows(b"xyz", kind=246),
    "no whole number": _rows(b"xyz", kind=3),
    "no JSON": _rows(b"\xff\xfe", kind=245),
    "no UTF-8": _rows(b"\xff\xfe"),
    "an unknown character set": _rows(b"xyz", charset=60000),
    "a column too few": _rows(b"xyz"),
    "no row": [b"\1", _column(), END, b"", END],
    "a cell longer than its row": [b"\1", _column(), END, b"\xfe" + b"\xff" * 8 + b"x", END],
    "no end of columns": [b"\1", _column(), _counted(b"x"), END],
    "a column cut short": [b"\1", b"\3de", END],
    "an error cut short": [b"\xff"],
    "a success cut short": [b"\0"],
}


@contextlib.contextmanager
def serving(place: Path, answer: Sequence[bytes]) -> Iterator[list[bytes]]:
    """A server on a socket of this machine. It takes every login and every setting, and gives *answer* to the first
    question of a connection. The list that it yields holds what it is sent after it has asked for a file."""
    heard: list[bytes] = []

    def send(connection: socket.socket, first: int, packets: Sequence[bytes]) -> None:
        for number, body in enumerate(packets, first):
            connection.sendall(struct.pack("<I", len(body) | number << 24) + body)

    def talk(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            send(connection, 0, [GREETING])
            connection.recv(65536)
            send(connection, 2, [DONE])
            while (asked := connection.recv(65536)) and asked[4:5] != b"\1":
                is_setting = asked[5:].startswith((b"SET ", b"START ", b"COMMIT", b"ROLLBACK"))
                send(connection, 1, [DONE] if is_setting else answer)
                if not is_setting:
                    heard.extend([connection.recv(65536)] if answer[0].startswith(b"\xfb") else [])
                    return

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=talk, args=(server.accept()[0],), daemon=True).start()

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
        server.listen()
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield heard
        server.shutdown(socket.SHUT_RDWR)
        accepting.join()
