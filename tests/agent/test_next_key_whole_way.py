"""Key and names of a certificate change, from `request --next` to the socket: issuer, CA, BIND and nginx are real."""

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from common.issuer_key import issuer_key_text
from issuer.trust.statements import Statements
from tests.agent.host import NAME, Host
from tests.agent.remote import RemoteSite
from tests.issuer.box import Box
from tests.servers.database import SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.nginx import Nginx
from tests.servers.ports import LOOPBACK
from tests.servers.sshd import Sshd

OTHER = "other.example.test"


class Clients:
    """As long as the block lasts, clients that trust *roots* connect to *port* for NAME, one after another; *failures*
    is what went wrong."""

    def __init__(self, port: int, roots: Path) -> None:
        self.made, self.failures = 0, list[Exception]()
        self._port, self._context = port, ssl.create_default_context(cafile=str(roots))
        self._over, self._thread = threading.Event(), threading.Thread(target=self._go_on)

    def __enter__(self) -> "Clients":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._over.is_set():
            try:
                with (
                    socket.create_connection((LOOPBACK, self._port), timeout=5) as connection,
                    self._context.wrap_socket(connection, server_hostname=NAME),
                ):
                    self.made += 1
            except OSError as error:
                self.failures.append(error)


def names_of(certificate: x509.Certificate) -> set[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(found.get_values_for_type(x509.DNSName))


@pytest.fixture(params=["here", "over SSH"])
def place(request: pytest.FixtureRequest, host: Host, tmp_path: Path) -> Iterator[str]:
    """The words of agent.toml for where key and live files are: this machine, or one without an agent."""
    files = f'[certificate.files]\nfullchain = "{host.fullchain}"'
    if request.param == "here":
        yield files
        return
    with Sshd(tmp_path / "sshd") as sshd:
        yield RemoteSite(host, sshd, host.live).settings + files


@pytest.mark.sampled
def test_key_and_names_change_without_a_gap(lab: Lab, host: Host, nginx: Nginx, place: str, tmp_path: Path) -> None:
    """The command that `request --next` prints is the one that the issuer takes. Until the new certificate is there,
    the present one stays; then both files change, and no client fails."""
    box = Box(tmp_path / "box", SqliteDatabase(tmp_path), bind=lab.bind, pebble=lab.pebble)
    box.set_up()
    box.add_zone(NAME, OTHER)
    lab.bind.reconfigure()
    roots = tmp_path / "pebble.pem"
    roots.write_bytes(lab.pebble.root())
    host.served_by(
        nginx,
        source=f'url = "{box.database.url}"',
        trust=f'roots = "{roots}"',
        issuer_key=issuer_key_text(Statements(box.state_dir).key().public),
        files=place,
    )
    box.ok("populate", "--enable", NAME, "--csr", str(host.folder / "host.csr"))
    box.ok("run")
    assert host.run().code == 0
    first, old_key = nginx.served(), host.key.read_bytes()
    assert names_of(first) == {NAME}
    with Clients(nginx.port, roots) as clients:
        said = host.agent("request", NAME, "--next", "--san", OTHER, "--csr", str(host.folder / "next.csr")).out
        [command] = re.findall("certfleet-issuer (populate --replace [^;]+)", said)
        box.ok(*command.split())
        done = host.run()
        assert (done.code, done.certificate["changed"], nginx.served()) == (0, False, first)
        box.ok("run")
        done = host.run()
        assert (done.code, done.certificate["state"], done.certificate["changed"]) == (0, "installed", True), done.err
    assert clients.made > 0
    assert clients.failures == []
    second = nginx.served()
    assert names_of(second) == {NAME, OTHER}
    assert second.public_key() != first.public_key()
    assert host.key.read_bytes() != old_key
    [(state,)] = box.database.query("SELECT state FROM installations")
    assert state == "installed"
    assert host.leftovers() == []
