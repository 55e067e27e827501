"""Pebble answers with trust, and forgets."""

import socket
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.servers.lab import Lab
from tests.servers.pebble import Pebble


def test_pebble_answers_with_trust_and_forgets_its_root(lab: Lab) -> None:
    """The directory is served with a certificate its own CA file verifies; a restart makes a new root."""
    root = x509.load_pem_x509_certificate(lab.pebble.root())
    x509.load_pem_x509_certificate(lab.pebble.intermediate()).verify_directly_issued_by(root)
    trust = ssl.create_default_context(cafile=str(lab.pebble.ca_file))
    with (
        socket.create_connection(("127.0.0.1", lab.pebble.port), timeout=5) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        secured.sendall(b"GET /dir HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert secured.recv(4096).startswith(b"HTTP/1.0 200 OK")
    lab.pebble.stop()
    lab.pebble.start()
    assert lab.pebble.root() != root.public_bytes(Encoding.PEM)


def test_pebble_offers_other_roots_when_asked(tmp_path: Path) -> None:
    """Alternate roots and Pebble's own defaults are a matter of parameters."""
    with Pebble(tmp_path, "127.0.0.1:1", nosleep=None, nonce_reject=None, alternate_roots=1) as pebble:
        assert pebble.root(1) != pebble.root(0)
