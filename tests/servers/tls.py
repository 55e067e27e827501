"""What a TLS server on loopback presents: a real handshake, nothing verified."""

import socket
import ssl

from cryptography import x509

LOOPBACK = "127.0.0.1"
SECONDS = 5


def completes_handshake(port: int, name: str) -> bool:
    """Whether a server is all there. One that merely listens may not have read its certificate yet."""
    try:
        served_certificate(port, name)
    except OSError:
        return False
    return True


def served_certificate(port: int, name: str) -> x509.Certificate:
    """The leaf shown to a client that asks for `name`."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((LOOPBACK, port), timeout=SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=name) as secured,
    ):
        der = secured.getpeercert(binary_form=True)
    if der is None:
        raise ssl.SSLError(f"port {port} presented no certificate")
    return x509.load_der_x509_certificate(der)
