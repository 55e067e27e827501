"""A way to a server that is cut: it carries bytes both ways, and drops the line after so many pieces of a caller."""

import contextlib
import selectors
import socket
import threading
from types import TracebackType
from typing import Self

from tests.servers.ports import LOOPBACK, free_port, release_port

_PIECE = 65536


class Cutting:
    """Context manager for the way to *target*, a port of this machine. *pieces* counts what came from callers."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.pieces = 0
        self._target = target
        self._after = 0
        self._for_good = False
        self._is_down = False
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()

    def cut_after(self, pieces: int, *, for_good: bool) -> None:
        """Drop the line when so many more pieces have come; *for_good*: and take no calls until `mend`."""
        with self._lock:
            self._after, self._for_good, self.pieces = pieces, for_good, 0

    def mend(self) -> None:
        """Carry everything again."""
        with self._lock:
            self._after, self._is_down = 0, False

    def __enter__(self) -> Self:
        self._server = socket.create_server((LOOPBACK, self.port))
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        with self._lock:
            pairs = tuple(self._pairs)
        self._drop(*pairs)
        release_port(self.port)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._server.accept()
                if self._is_down:
                    caller.close()
                    continue
                pair = caller, socket.create_connection((LOOPBACK, self._target))
                for end in pair:
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._pairs.add(pair)
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, caller: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), selectors.DefaultSelector() as ears:
            ears.register(caller, selectors.EVENT_READ, server)
            ears.register(server, selectors.EVENT_READ, caller)
            while True:
                for key, _ in ears.select():
                    source: socket.socket = key.fileobj  # type: ignore[assignment]
                    data = source.recv(_PIECE)
                    if not data or (source is caller and self._is_cut()):
                        self._drop((caller, server))
                        return
                    key.data.sendall(data)

    def _is_cut(self) -> bool:
        with self._lock:
            self.pieces += 1
            if not self._after or self.pieces < self._after:
                return False
            self._after, self._is_down = 0, self._for_good
            return True

    def _drop(self, *pairs: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            self._pairs -= set(pairs)
        for end in (end for pair in pairs for end in pair):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
