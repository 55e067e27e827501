"""Installs that take a service down whose sockets cannot show the new certificate: what was there has to be there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.host import keys
from tests.agent.host import NAME, Host
from tests.servers.apache import Apache
from tests.servers.nginx import Nginx
from tests.servers.tls import served_certificate

RSA = f"{NAME}-rsa"  # a label: its certificate is for NAME too
WHOLE, WITHOUT_LEAF = ["certificate", "chain"], ["chain"]  # the check of neither daemon minds the second


class Dual:
    """A daemon with an ECDSA certificate, the host's own, and an RSA one, on one socket that speaks TLS 1.3 alone."""

    def __init__(self, host: Host, folder: Path, kind: str) -> None:
        self.host, self.key, self.file = host, host.folder / "rsa.pem", host.live / "rsa.pem"
        made = host.agent(
            *("request", NAME, "--key-type", "rsa2048", "--key", str(self.key), "--csr", str(self.key) + ".csr")
        )
        assert made.code == 0, made.err
        for key, file in ((host.key, host.fullchain), (self.key, self.file)):
            file.write_bytes(host.authority.sign(keys.csr(keys.load(key), (NAME,)), days=1).fullchain_pem)
        if kind == "apache":
            lines = f'SSLProtocol TLSv1.3\nSSLCertificateFile "{self.file}"\nSSLCertificateKeyFile "{self.key}"'
        else:
            lines = f"ssl_certificate {self.file}; ssl_certificate_key {self.key}; ssl_protocols TLSv1.3;"
        make = Apache if kind == "apache" else Nginx
        self.daemon: Apache | Nginx = make(folder / kind, host.fullchain, host.key, name=NAME, more=lines)
        self.activate = self.daemon.activate

    def configure(self, parts: list[str] = WHOLE, *, probed: bool = True) -> None:
        """agent.toml, with those *parts* in the file of the RSA certificate, and whether it has a socket there."""
        probe = [f"https://{NAME}:{self.daemon.port}?connect=127.0.0.1"]
        check, activate = self.daemon.check, self.activate
        second = f"""[[certificate]]
name = "{RSA}"
names = ["{NAME}"]
key = "{self.key}"
check = {json.dumps(check)}
activate = {json.dumps(activate)}
probe = {json.dumps(probe if probed else [])}
[[certificate.combined]]
path = "{self.file}"
parts = {json.dumps(parts)}
"""
        self.host.configure(check=check, activate=activate, probe=probe, probe_timeout="3s", more=second)

    def offer_rsa(self) -> None:
        issued = self.host.authority.sign(keys.csr(keys.load(self.key), (NAME,)))
        self.host.offer(issued.cert_pem, issued.chain_pem, name=RSA)

    def run(self, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
        """The exit code, and what was said of each."""
        done = self.host.run(*arguments)
        assert not self.host.leftovers()
        return done.code, {one["name"]: one for one in done.json["certificates"]}


@contextmanager
def dual(host: Host, folder: Path, kind: str) -> Iterator[Dual]:
    """One whose first certificates are installed."""
    made = Dual(host, folder, kind)
    with made.daemon:
        made.configure()
        host.offer_new()
        made.offer_rsa()
        code, said = made.run()
        assert (code, said[NAME]["state"], said[RSA]["state"]) == (0, "installed", "installed"), said
        yield made


def assert_goes_back(it: Dual, before: bytes) -> None:
    """A run takes the RSA certificate back to *before*, and the service serves."""
    code, said = it.run()
    assert (code, said[RSA]["state"]) == (1, "failed"), said
    assert "rolled back, all is as it was" in said[RSA]["detail"]
    assert it.file.read_bytes() == before
    assert served_certificate(it.daemon.port, NAME)


@pytest.mark.sampled
@pytest.mark.parametrize("kind", ["apache", "nginx"])
def test_one_beside_another_that_takes_the_service_down_goes_back(host: Host, tmp_path: Path, kind: str) -> None:
    """In TLS 1.3 a second type of key is asked for by a handshake of our own; that the socket shows nothing any more is
    seen."""
    with dual(host, tmp_path, kind) as it:
        before = it.file.read_bytes()
        it.configure(WITHOUT_LEAF)
        it.offer_rsa()
        assert_goes_back(it, before)


def test_a_service_that_dies_a_moment_after_its_reload_is_seen(host: Host, tmp_path: Path) -> None:
    """It still served at the first look."""
    with dual(host, tmp_path, "apache") as it:
        before, mark = it.file.read_bytes(), it.host.folder / "mark"
        pid, later = it.daemon.folder / "pid", "</dev/null >/dev/null 2>&1 &"
        stop = f'if [ -e "{mark}" ]; then exec "$@"; fi; touch "{mark}"; (sleep 0.2; kill "$(cat "{pid}")") {later}'
        it.activate = ["/bin/sh", "-c", stop, "activate", *it.daemon.activate]
        it.configure()
        it.offer_rsa()
        assert_goes_back(it, before)


@pytest.mark.soak
@pytest.mark.sampled
@pytest.mark.parametrize("kind", ["apache", "nginx"])
def test_one_without_a_socket_goes_back_where_that_of_another_certificate_is_lost(
    host: Host, tmp_path: Path, kind: str
) -> None:
    """The service is the same: what took it down is undone. While it serves the other, nothing is said against it."""
    with dual(host, tmp_path, kind) as it:
        it.configure(probed=False)
        it.offer_rsa()
        code, said = it.run()
        assert (code, said[NAME]["state"], said[RSA]["state"]) == (0, "installed", "unprovable")
        before = it.file.read_bytes()
        it.configure(WITHOUT_LEAF, probed=False)
        it.offer_rsa()
        code, said = it.run()
        assert (code, said[NAME]["state"], said[RSA]["state"]) == (1, "installed", "failed"), said
        assert "where the same service has another certificate" in said[RSA]["detail"]
        assert "rolled back, all is as it was" in said[RSA]["detail"]
        assert it.file.read_bytes() == before
        assert served_certificate(it.daemon.port, NAME)


@pytest.mark.soak
def test_one_without_a_socket_goes_back_with_the_other_that_is_new(host: Host, tmp_path: Path) -> None:
    """Both are suspect where the service went down with both; then each goes alone, and the good one is installed."""
    with dual(host, tmp_path, "apache") as it:
        before = it.file.read_bytes()
        it.configure(WITHOUT_LEAF, probed=False)
        it.offer_rsa()
        good = host.offer_new()
        code, said = it.run()
        assert (code, said[NAME]["state"], said[RSA]["state"]) == (1, "failed", "failed"), said
        assert it.file.read_bytes() == before
        assert served_certificate(it.daemon.port, NAME)
        code, said = it.run("--retry")
        assert (code, said[NAME]["state"], said[RSA]["state"]) == (1, "installed", "failed"), said
        assert it.file.read_bytes() == before
        assert served_certificate(it.daemon.port, NAME) == good.certificate
