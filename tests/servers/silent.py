"""A server that takes every call and never answers: over TCP it accepts, over UDP it reads, on one port."""

import selectors
import socket
import threading
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tests.servers.ports import free_port, release_port

LOOPBACK = "127.0.0.1"


class Silent:
    """Context manager. *met* is set as soon as somebody has asked something, or has called over TCP, *calls* times."""

    def __init__(self) -> None:
        self.port = free_port()
        self.met = threading.Event()
        self.calls = 0
        self._open = ExitStack()
        self._ears = selectors.DefaultSelector()
        self._end, self._ended = socket.socketpair()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._tcp = self._open.enter_context(socket.create_server((LOOPBACK, self.port)))
        self._udp = self._open.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._udp.bind((LOOPBACK, self.port))
        for ear in (self._tcp, self._udp, self._ended):
            self._ears.register(ear, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.close()
        self._thread.join()
        self._ended.close()
        self._ears.close()
        self._open.close()
        release_port(self.port)

    def _listen(self) -> None:
        while True:
            heard = [key.fileobj for key, _ in self._ears.select()]
            if self._ended in heard:
                return
            if self._tcp in heard:
                self._open.enter_context(self._tcp.accept()[0])
                self.calls += 1
            if self._udp in heard:
                self._udp.recv(65535)
            self.met.set()
