"""Clients that go on connecting while a certificate is installed, and one that stays connected."""

import socket
import ssl
import threading
from typing import Self

from tests.servers.ports import LOOPBACK
from tests.servers.tls import SECONDS


class Load:
    """Handshakes on *port*, one after another by each of *clients* threads, until the end of the block; *made* of them
    came to their end, and *failed* did not."""

    def __init__(self, port: int, name: str, clients: int = 3) -> None:
        self._port, self._name = port, name
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._go_on, daemon=True) for _ in range(clients)]
        self._counting = threading.Lock()
        self.made, self.failed = 0, 0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self) -> None:
        while not self._stop.wait(0.02):
            try:
                connect(self._port, self._name).close()
            except OSError:
                good = 0
            else:
                good = 1
            with self._counting:
                self.made, self.failed = self.made + good, self.failed + 1 - good


def connect(port: int, name: str) -> ssl.SSLSocket:
    """A connection after its handshake; nothing is verified. Raises OSError."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    plain = socket.create_connection((LOOPBACK, port), timeout=SECONDS)
    try:
        return context.wrap_socket(plain, server_hostname=name)
    except BaseException:
        plain.close()
        raise
