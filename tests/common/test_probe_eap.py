"""The probe by a login at FreeRADIUS: it shows the same as it does to `eapol_test`, a supplicant of others."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from common.probe import eap
from common.probe.addresses import addresses
from common.probe.look import look
from common.probe.target import EAP_TYPES, parse_target
from common.probe.view import Seen, View
from tests.servers.authority import Authority, Issued
from tests.servers.freeradius import Freeradius

KEYS: dict[str, Callable[[], rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey]] = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
}
VERSIONS = {"TLSv1.2": "", "TLSv1.3": 'tls_min_version = "1.3"\ntls_max_version = "1.3"'}
LONG_CHAIN = "fragment_size = 200"


@pytest.fixture
def issued() -> Issued:
    """An intermediate, so that chains have two certificates."""
    return Authority("Test Root").intermediate("Test Intermediate").issue(["localhost"])


def seen(target: str, seconds: float = 15.0) -> View:
    """One look at the only address of a target."""
    parsed = parse_target(target)
    (address,) = addresses(parsed)
    return look(parsed, address, parsed.server_name, seconds)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("version", VERSIONS)
def test_each_method_shows_what_a_supplicant_sees(key: str, version: str) -> None:
    """Leaf, chain and version of TLS, by each method and by the one that the server prefers."""
    issued = Authority("Test Root").intermediate("Test Intermediate").issue(["localhost"], KEYS[key]())
    with Freeradius(issued, VERSIONS[version]) as radius:
        for method in EAP_TYPES:
            view = seen(f"{radius.target()}&method={method}")
            assert (view.seen, view.version) == (Seen.SERVED, version), (method, view)
            chain = list(map(x509.load_der_x509_certificate, view.shown))
            assert chain == radius.chain_of(method) == x509.load_pem_x509_certificates(issued.fullchain_pem)
        assert seen(radius.target()).shown == view.shown


def test_a_method_that_is_not_the_first(issued: Issued) -> None:
    """The server begins with another one, and is told which is wanted."""
    with Freeradius(issued, offers=("ttls", "tls")) as radius:
        assert seen(f"{radius.target()}&method=tls").seen is Seen.SERVED
        view = seen(f"{radius.target()}&method=peap&identity=bob%40example.com")
    assert (view.seen, view.problem) == (Seen.NO_TLS, "it ends the login of 'bob@example.com' by PEAP")


def test_a_chain_and_a_hello_in_many_pieces(issued: Issued, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides cut what they say, and ask for the rest."""
    monkeypatch.setattr(eap, "_FRAGMENT", 50)
    with Freeradius(issued, LONG_CHAIN) as radius:
        view = seen(radius.target())
    assert (view.seen, len(view.shown)) == (Seen.SERVED, 2), view


def test_another_secret(issued: Issued) -> None:
    """The server drops what we ask: the look ends, and says what it may be."""
    with Freeradius(issued) as radius:
        radius.secret_file.write_text("another\n", encoding="ascii")
        began = time.monotonic()
        view = seen(radius.target(), 1.5)
    assert (view.seen, view.listens, time.monotonic() - began < 15) == (Seen.UNKNOWN, True, True)
    assert "has another secret" in view.problem


def test_a_server_that_has_ended(issued: Issued) -> None:
    """The system says that nothing listens."""
    with Freeradius(issued) as radius:
        radius.stop()
        assert seen(radius.target()).seen is Seen.DOWN


def test_radsec_shows_its_own_before_it_refuses_us(issued: Issued) -> None:
    """It wants a client certificate, which we do not have."""
    with Freeradius(issued) as radius:
        view = seen(radius.target("radsec"))
        assert (view.seen, len(view.shown)) == (Seen.SERVED, 2)
        assert x509.load_der_x509_certificate(view.shown[0]) == radius.served("radsec")


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [
        (None, 0, "cannot be read (No such file or directory)"),
        ("topsecret", 0o644, "its mode is 0644"),
        ("topsecret\nother", 0o600, "more than one line"),
        ("", 0o600, "is empty"),
    ],
)
def test_a_secret_that_cannot_be_used(tmp_path: Path, content: str | None, mode: int, sentence: str) -> None:
    """Nobody is asked; the sentence names the file, and never what is in it."""
    file = tmp_path / "radius.secret"
    if content is not None:
        file.write_text(content, encoding="ascii")
        file.chmod(mode)
    view = seen(f"radius://127.0.0.1:9?secret_file={file}")
    assert (view.seen, sentence in view.problem) == (Seen.UNKNOWN, True), view
    assert str(file) in view.problem
    assert "topsecret" not in view.problem
