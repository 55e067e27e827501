"""Clients of a daemon: a look at a socket, handshakes while a certificate comes, a connection that stays."""

import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import Self

import pytest
from cryptography import x509

from common.deadline import Deadline
from common.probe.starttls import Refused, wire_for_tls
from common.probe.target import ProbeTarget
from tests.drill.daemon import NAME, Talk
from tests.servers.ports import LOOPBACK

SECONDS = 5
PATIENCE = 30  # seconds that a client waits, while the machine may be busy with more than its server
# Where the service closes just after it took a connection, `wrap_socket` of Python 3.11 raises and leaves it open
under_load = pytest.mark.filterwarnings("ignore:.*<ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_CONTEXT.check_hostname = False
_CONTEXT.verify_mode = ssl.CERT_NONE


class Load:
    """The *attempts*, one after another by each of *clients* threads, until the end of the block; *made* of them came
    to their end, and *failed* raised OSError."""

    def __init__(self, attempts: Sequence[Callable[[], object]], clients: int = 3) -> None:
        self._attempts = attempts
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._go_on, args=(n,), daemon=True) for n in range(clients)]
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

    def _go_on(self, number: int) -> None:
        while not self._stop.wait(0.02):
            number += 1
            try:
                self._attempts[number % len(self._attempts)]()
            except OSError:
                good = 0
            else:
                good = 1
            with self._counting:
                self.made, self.failed = self.made + good, self.failed + 1 - good


def connect(target: ProbeTarget, seconds: float = SECONDS) -> ssl.SSLSocket:
    """A connection after its handshake; nothing is verified. Raises OSError."""
    plain = socket.create_connection((LOOPBACK, target.connect_port), timeout=seconds)
    try:
        wire_for_tls(target, plain, Deadline(seconds), NAME)
        plain.settimeout(seconds)
        return _CONTEXT.wrap_socket(plain, server_hostname=NAME)
    except Refused as refused:
        plain.close()
        raise ConnectionError(str(refused)) from refused
    except BaseException:
        plain.close()
        raise


def served_by(target: ProbeTarget) -> x509.Certificate:
    """The leaf that a new client is shown. Raises OSError."""
    with connect(target) as connection:
        der = connection.getpeercert(binary_form=True)
    if der is None:
        raise ssl.SSLError(f"{target.text} shows no certificate")
    return x509.load_der_x509_certificate(der)


class Conversation:
    """A connection that is opened now and goes on later."""

    def __init__(self, target: ProbeTarget, talk: Talk) -> None:
        self._talk = talk
        self._connection = connect(target, PATIENCE)
        self._connection.sendall(talk.first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def goes_on(self) -> bool:
        """Say the rest. Does the answer come?"""
        said = b""
        try:
            self._connection.sendall(self._talk.then)
            while self._talk.answer not in said and (more := self._connection.recv(4096)):
                said += more
        except OSError:
            return False
        return self._talk.answer in said
