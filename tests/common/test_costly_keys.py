"""Keys that a library would prove for hours: a cell, a server or a log may hold one, and no thread runs meanwhile."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from common.certificate import leaf_fingerprint, load_certificates
from common.load_x509 import load_request
from common.pem import kind_of_key
from common.probe.shown import Place, shown_at
from common.probe.target import parse_target
from common.probe.view import Seen, View
from issuer.model.csr import csr_of
from issuer.model.leaf import Damaged
from tests.common.der_by_hand import DSA, PKCS3, PRIME, RSA, X942, certificate, diffie_hellman, private_key, request
from tests.servers.process import program
from tests.servers.stopwatch import Stopwatch

ROOT = Path(__file__).parents[2]
SECONDS = 0.5
LOADERS = ("load_der_x509", "load_pem_x509", "load_der_private_key", "load_pem_private_key")


@pytest.mark.parametrize("algorithm", ["", RSA, DSA, PKCS3], ids=["bare", "RSA", "DSA", "Diffie-Hellman"])
def test_a_private_key_in_a_cell_is_told_by_its_shape(algorithm: str) -> None:
    """Nobody loads it: one whose numbers are wrong is one too, and huge primes take no time."""
    content = private_key(algorithm, PRIME**2, 3, PRIME - 2, PRIME, PRIME, 1, 1, 1)
    watch = Stopwatch()
    assert csr_of(content) == Damaged("it holds a private key; keys stay on their host, give the CSR alone")
    assert watch.seconds() < SECONDS


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("genpkey -algorithm RSA -outform DER", "PRIVATE KEY"),
        ("genpkey -algorithm RSA | openssl rsa -traditional -outform DER", "PRIVATE KEY"),
        ("genpkey -algorithm RSA | openssl rsa -RSAPublicKey_out -outform DER", "PUBLIC KEY"),
        ("genpkey -algorithm RSA | openssl pkey -pubout -outform DER", "PUBLIC KEY"),
        ("ecparam -name prime256v1 -genkey -noout -outform DER", "PRIVATE KEY"),
        ("genpkey -algorithm ED25519 -outform DER", "PRIVATE KEY"),
        ("genpkey -algorithm ED25519 | openssl pkcs8 -topk8 -v2 aes256 -passout pass:a -outform DER", "ENCRYPTED"),
        ("req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=a -outform DER", ""),
        ("req -new -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=a -outform DER", ""),
    ],
)
def test_shapes_as_openssl_writes_them(command: str, kind: str) -> None:
    """Each form of a key, and what is none."""
    whole = f"{program('openssl', 'openssl')} {command}"
    made = subprocess.run(["sh", "-c", whole], capture_output=True, check=True, timeout=60).stdout
    found = kind_of_key(made)
    assert found.startswith(kind)
    assert bool(found) is bool(kind)


def test_shapes_of_nothing() -> None:
    """Content that is cut off or empty has none."""
    for content in (b"", b"\x30", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"\x30\x02\x30\x00"):
        assert kind_of_key(content) == ""


@pytest.mark.parametrize("algorithm", [PKCS3, X942])
@pytest.mark.parametrize(
    ("door", "make"),
    [
        (load_certificates, certificate),
        (leaf_fingerprint, certificate),
        (load_request, request),
    ],
)
def test_a_key_for_diffie_hellman_is_refused_unread(
    algorithm: str, door: Callable[[bytes], object], make: Callable[[bytes], bytes]
) -> None:
    """At each door, before anybody asks for it. No certificate for TLS has one."""
    content = make(diffie_hellman(algorithm))
    watch = Stopwatch()
    with pytest.raises(ValueError, match=r"cannot be parsed|Diffie-Hellman"):
        door(content)
    assert watch.seconds() < SECONDS


def test_a_small_key_for_diffie_hellman_is_refused_too() -> None:
    """By its algorithm and not by its size: who measures it has loaded it."""
    for algorithm in (PKCS3, X942):
        with pytest.raises(ValueError, match="cannot be parsed"):
            load_certificates(certificate(diffie_hellman(algorithm, 23)))


def test_a_cell_and_a_server_with_such_a_key() -> None:
    """The row is damaged, and the server's certificate cannot be parsed; both at once."""
    watch = Stopwatch()
    assert isinstance(csr_of(request(diffie_hellman())), Damaged)
    assert isinstance(csr_of(diffie_hellman()), Damaged)
    place = Place(parse_target("tls://www.example.test:443"), "", "127.0.0.1")
    view = View(Seen.SERVED, shown=(certificate(diffie_hellman()),))
    assert "Diffie-Hellman" in shown_at(place, view).fault
    assert watch.seconds() < SECONDS


def test_certificates_and_private_keys_have_one_door() -> None:
    """Another loader would take what a stranger wrote without a look at its algorithm; key files of our own are loaded
    where they are read."""
    loading = {
        str(file.relative_to(ROOT))
        for part in ("agent", "common", "issuer")
        for file in (ROOT / part).rglob("*.py")
        if any(loader in file.read_text() for loader in LOADERS)
    }
    of_issuer = {"issuer/ca/account.py", "issuer/store/server_tls.py", "issuer/trust/statements.py"}
    assert loading == {"common/load_x509.py", "common/revocation/crl.py", "agent/host/keys.py", *of_issuer}
