"""The probe on servers that staple: nginx and Apache with `openssl ocsp` as responder, `openssl s_server` in two
versions of TLS; and what several names of a socket, and several addresses of a name, show.
"""

import re
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from common.probe.addresses import addresses
from common.probe.conclude import conclusions
from common.probe.shown import Shown
from common.probe.staple import NotSeen, stapled
from common.probe.survey import survey
from common.probe.target import parse_target
from common.probe.view import KeyType
from common.revocation import Status
from tests.servers.apache import MODULES, Apache
from tests.servers.authority import Authority, Issued
from tests.servers.nginx import Nginx
from tests.servers.ports import LOOPBACK, free_port, release_port
from tests.servers.process import program
from tests.servers.responder import Responder
from tests.servers.revocation import answered_at, response
from tests.servers.s_server import SServer
from tests.servers.tls import WebServer

NAME = "localhost"
AUTHORITY = Authority("Test Root").intermediate("Test CA")
PAIRS: dict[KeyType, Issued] = {
    "ecdsa": AUTHORITY.issue([NAME]),
    "rsa": AUTHORITY.issue([NAME], rsa.generate_private_key(public_exponent=65537, key_size=2048)),
}


def seen(server: WebServer, *names: str) -> list[Shown]:
    target = parse_target(f"https://{NAME}:{server.port}?connect={LOOPBACK}")
    return survey([target], names or [NAME], lambda _: {}, time.time())


OPTIONS: list[Sequence[str]] = [
    ["-tls1_2"],
    ["-tls1_3"],
    ["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256", "-groups", "P-256"],
    ["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384", "-groups", "P-521"],
]


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_both_certificates_and_the_staple(tmp_path: Path, options: Sequence[str]) -> None:
    """In TLS 1.2 it stands in clear, in 1.3 behind the keys; each type of key is asked for, in TLS 1.3 alone too."""
    one, other = (issued.write(tmp_path / kind) for kind, issued in PAIRS.items())
    staple = response(AUTHORITY, PAIRS["ecdsa"].certificate)
    with SServer(tmp_path / "server", one, other, staple, *options) as server:
        target = parse_target(f"https://{NAME}:{server.port}?connect={LOOPBACK}")
        (address,) = addresses(target)
        for kind, issued in PAIRS.items():
            answered = stapled(target, address, NAME, 10, kind)
            shown = b"".join(x509.load_der_x509_certificate(one).public_bytes(Encoding.PEM) for one in answered.shown)
            assert (shown, answered.staple) == (issued.fullchain_pem, staple)
        found = {one.leaf: one.staple.says.status for one in seen(server)}
    assert found == {PAIRS["ecdsa"].certificate: Status.GOOD, PAIRS["rsa"].certificate: Status.UNKNOWN}


def test_a_server_without_what_is_asked_for(tmp_path: Path) -> None:
    """No staple, and no certificate of that type: each is said."""
    files = PAIRS["ecdsa"].write(tmp_path / "tls")
    with Nginx(tmp_path / "nginx", files.fullchain, files.key) as nginx:
        (one,) = seen(nginx)
        assert (one.staple.is_there, one.staple.says.status) == (False, Status.NOT_ASKED)
        with pytest.raises(NotSeen, match="handshake failure"):
            stapled(one.place.target, (socket.AF_INET, (LOOPBACK, nginx.port)), NAME, 10, "rsa")


NGINX = "ssl_stapling on; ssl_stapling_verify off;"
APACHE = f"LoadModule socache_shmcb_module {MODULES}/mod_socache_shmcb.so\nSSLUseStapling on\n"
APACHE += "SSLStaplingCache shmcb:{folder}/stapling(128000)\nSSLStaplingForceURL http://127.0.0.1:{port}/"


@pytest.fixture
def port() -> Iterator[int]:
    number = free_port()
    yield number
    release_port(number)


@pytest.mark.parametrize(("make", "is_revoked"), [("nginx", False), ("apache", False), ("apache", True)])
def test_a_server_that_fetches_its_staple(tmp_path: Path, port: int, make: str, is_revoked: bool) -> None:
    """nginx has none for the first who asks, and is asked again; what the staple says is what s_client prints. (nginx
    staples no answer that says revoked.)"""
    issued = AUTHORITY.issue([NAME], more=[answered_at(f"http://{LOOPBACK}:{port}/")])
    files, known = issued.write(tmp_path / "tls"), {"revoked" if is_revoked else "good": [issued.certificate]}
    server: WebServer = (
        Nginx(tmp_path / "web", files.fullchain, files.key, more=NGINX)
        if make == "nginx"
        else Apache(tmp_path / "web", files.fullchain, files.key, more=APACHE.format(folder=tmp_path, port=port))
    )
    with Responder(tmp_path / "responder", AUTHORITY, port, **known), server:
        (one,) = seen(server)
        printed = s_client(server)
    status = Status.REVOKED if is_revoked else Status.GOOD
    assert (one.staple.is_there, one.staple.says.status, one.revocation.status) == (True, status, status)
    assert f"Cert Status: {status.value}" in printed
    until = time.strftime("%b %e %H:%M:%S %Y GMT", time.gmtime(one.staple.says.fresh_until))
    assert re.search(f"Next Update: {until}", printed), printed
    assert bool(one.problems(time.time())) is is_revoked


def s_client(server: WebServer) -> str:
    command = [program("openssl", "openssl"), "s_client", "-connect", f"{LOOPBACK}:{server.port}", "-status"]
    done = subprocess.run(
        [*command, "-servername", NAME],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    return done.stdout


def test_only_one_family_is_broken(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with an address of each family, and a server on one of them."""
    files = PAIRS["ecdsa"].write(tmp_path / "tls")
    with Nginx(tmp_path / "nginx", files.fullchain, files.key) as nginx:
        mapped = (f"::ffff:{LOOPBACK}", port, 0, 0)  # of IPv6 for the kernel, also where the machine has no other
        found = [(socket.AF_INET, (LOOPBACK, nginx.port)), (socket.AF_INET6, mapped)]
        answers = [(family, socket.SOCK_STREAM, 6, "", where) for family, where in found]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
        shown = survey([parse_target("https://w.example.test")], [NAME], lambda _: {}, time.time())
    assert [one.place.family for one in shown] == ["IPv4", "IPv6"]
    assert conclusions(shown, time.time()) == [f"https://w.example.test for {NAME}: only IPv6 is broken"]


def test_names_side_by_side(tmp_path: Path) -> None:
    """One socket, two names, two certificates: each name is asked for."""
    second = AUTHORITY.issue(["other.example.test"])
    one, other, named = (issued.write(tmp_path / str(place)) for place, issued in enumerate((*PAIRS.values(), second)))
    words = ["-servername", "other.example.test", "-cert2", str(named.cert), "-key2", str(named.key), "-tls1_3"]
    with SServer(tmp_path / "server", one, other, response(AUTHORITY, second.certificate), *words) as server:
        shown = seen(server, NAME, "other.example.test")
    leaves = [(NAME, issued.certificate) for issued in PAIRS.values()] + [("other.example.test", second.certificate)]
    assert [(look.place.name, look.leaf) for look in shown] == leaves
    assert not any(look.problems(time.time()) for look in shown)
