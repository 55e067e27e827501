"""What a TLS server on loopback presents: a real handshake, nothing verified."""

import functools
import socket
import ssl
from pathlib import Path

from cryptography import x509

from tests.servers.ports import LOOPBACK
from tests.servers.server import Server

SECONDS = 5


class WebServer(Server):
    """A server that is ready when it completes a handshake for its `name`."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder)
        self.name = name
        self.port = self._own_port()

    def served(self, name: str | None = None) -> x509.Certificate:
        """The certificate it presents now."""
        return served_certificate(self.port, name or self.name)

    def _ready(self) -> bool:
        return completes_handshake(self.port, self.name)


def completes_handshake(port: int, name: str) -> bool:
    """Whether a server is all there. One that merely listens may not have read its certificate yet."""
    try:
        served_certificate(port, name)
    except OSError:
        return False
    return True


def served_certificate(port: int, name: str) -> x509.Certificate:
    """The leaf shown to a client that asks for `name`."""
    with (
        socket.create_connection((LOOPBACK, port), timeout=SECONDS) as connection,
        _any_certificate().wrap_socket(connection, server_hostname=name) as secured,
    ):
        der = secured.getpeercert(binary_form=True)
    if der is None:
        raise ssl.SSLError(f"port {port} presented no certificate")
    return x509.load_der_x509_certificate(der)


@functools.cache
def _any_certificate() -> ssl.SSLContext:
    """Made once, and without the CAs of the machine, which nobody here asks: to read them takes longer than a test."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
