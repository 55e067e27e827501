"""Installs whose proof needs more than a handshake: two types of keys, a client certificate, STARTTLS."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.probe.addresses import addresses
from common.probe.look import look
from common.probe.target import parse_target
from common.probe.view import Seen
from tests.agent.host import NAME, Host, sha256
from tests.servers.apache import Apache
from tests.servers.authority import Issued
from tests.servers.nginx import Nginx
from tests.servers.postfix import Postfix

RSA = "rsa.example.test"  # a label: its certificate is for NAME too


def shown(port: int, key_type: str) -> str:
    """SHA-256 of the leaf that clients with this type of key alone get."""
    target = parse_target(f"https://{NAME}:{port}?connect=127.0.0.1")
    view = look(target, addresses(target)[0], NAME, 10, "rsa" if key_type == "rsa" else "ecdsa")
    return hashlib.sha256(view.shown[0]).hexdigest()


def test_an_rsa_and_an_ecdsa_certificate_on_one_socket(host: Host, tmp_path: Path) -> None:
    """Each is asked for by the type of its key: both are installed and proven, and stay so."""
    key, csr, live = host.folder / "rsa.pem", host.folder / "rsa.csr", host.live / "rsa.pem"
    made = host.agent("request", NAME, "--key-type", "rsa2048", "--key", str(key), "--csr", str(csr))
    assert made.code == 0, made.err
    live.write_bytes(host.authority.sign(csr.read_bytes(), days=1).fullchain_pem)
    more = f"ssl_certificate {live}; ssl_certificate_key {key};"
    with Nginx(tmp_path / "nginx", host.fullchain, host.key, name=NAME, more=more) as nginx:
        probe = [f"https://{NAME}:{nginx.port}?connect=127.0.0.1"]
        second = f"""[[certificate]]
name = "{RSA}"
names = ["{NAME}"]
key = "{key}"
check = {json.dumps(nginx.check)}
activate = {json.dumps(nginx.activate)}
probe = {json.dumps(probe)}
[certificate.files]
fullchain = "{live}"
"""
        host.configure(check=nginx.check, activate=nginx.activate, probe=probe, more=second)
        ecdsa, rsa = host.offer_new(), host.authority.sign(csr.read_bytes())
        host.offer(rsa.cert_pem, rsa.chain_pem, name=RSA)
        for changed in (True, False):
            done = host.run()
            assert done.code == 0, done.err
            assert [(one["state"], one["changed"]) for one in done.json["certificates"]] == [("installed", changed)] * 2
            assert shown(nginx.port, "rsa") == sha256(rsa.certificate)
            assert shown(nginx.port, "ecdsa") == sha256(ecdsa.certificate)


class Refusing(Apache):
    """An Apache that ends the handshake with a client that has no certificate."""

    def seen(self) -> Seen:
        target = parse_target(f"https://{NAME}:{self.port}?connect=127.0.0.1")
        return look(target, addresses(target)[0], NAME, 10).seen

    def _ready(self) -> bool:
        return self.seen() is Seen.SERVED


@contextmanager
def refusing(host: Host, folder: Path) -> Iterator[Refusing]:
    more = f"SSLProtocol TLSv1.2\nSSLVerifyClient require\nSSLCACertificateFile {host.roots}"
    with Refusing(folder / "apache", host.fullchain, host.key, name=NAME, more=more) as apache:
        yield apache


def configured(host: Host, apache: Apache, activate: list[str]) -> Issued:
    probe = [f"https://{NAME}:{apache.port}?connect=127.0.0.1"]
    host.configure(check=apache.check, activate=activate, probe=probe, probe_timeout="3s")
    return host.offer_new()


def test_a_service_that_wants_a_client_certificate_is_proven(host: Host, tmp_path: Path) -> None:
    """In TLS 1.2 it refuses us after it has shown its leaf."""
    with refusing(host, tmp_path) as apache:
        configured(host, apache, apache.activate)
        done = host.run()
        assert (done.code, done.certificate["state"]) == (0, "installed"), done.err


def test_a_service_that_wants_a_client_certificate_and_dies_is_rolled_back(host: Host, tmp_path: Path) -> None:
    """It was up, whatever it said to us: what took it down is undone."""
    before = host.fullchain.read_bytes()
    with refusing(host, tmp_path) as apache:
        mark = host.folder / "mark"
        stop = f'if [ -e "{mark}" ]; then exec "$@"; fi; touch "{mark}"; kill "$(cat "{apache.folder}/pid")"'
        configured(host, apache, ["/bin/sh", "-c", stop, "activate", *apache.activate])
        done = host.run()
        assert (done.code, done.certificate["state"]) == (1, "failed"), done.certificate
        assert "rolled back, all is as it was" in done.certificate["detail"]
        assert apache.seen() is Seen.SERVED
    assert host.fullchain.read_bytes() == before


@pytest.mark.soak
def test_postfix_by_starttls(host: Host) -> None:
    """A renewal, proven on three sockets of a mail server."""
    placeholder = host.authority.issue([NAME])
    with Postfix(placeholder) as postfix:
        probe = [postfix.target(scheme).replace("localhost", NAME) for scheme in postfix.schemes]
        files = f"""[[certificate.combined]]
path = "{postfix.tls}/combined.pem"
parts = ["key", "certificate", "chain"]
"""
        host.configure(check=postfix.check, activate=postfix.activate, probe=probe, files=files)
        issued = host.offer_new()
        done = host.run()
        assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
        assert all(postfix.served(scheme) == issued.certificate for scheme in postfix.schemes)
