"""The probe against whatever may answer by UDP: one look ends by its deadline, with a sentence. The server knows the
secret, so that what it says is taken in."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.probe import eap
from common.probe.addresses import addresses
from common.probe.look import look
from common.probe.radius import Answer, access_request, answer_to
from common.probe.target import parse_target
from common.probe.view import Seen, View
from tests.servers.radius import ACCEPT, CHALLENGE, REJECT, Seal, answered, eap_in, eap_request, packed

SECRET = b"xyzzy5461"
PEAP, MD5 = 25, 4
HELLO_REQUEST = b"\x16\x03\x03\0\x04" + bytes(4)  # a client takes as many as come (RFC 5246 §7.4.1.1)
STARTS = eap_request(1, PEAP, b"\x20")
Serve = Callable[[bytes, int], list[bytes]]
"""The datagrams that answer a request, which has this number."""


@contextlib.contextmanager
def server(serve: Serve, host: str = "127.0.0.1") -> Iterator[int]:
    """A server by UDP; its port."""
    over = threading.Event()

    def answer() -> None:
        count = 0
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                request, client = bound.recvfrom(4096)
                for data in serve(request, count):
                    bound.sendto(data, client)
                count += 1

    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind((host, 0))
        bound.settimeout(0.05)
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield bound.getsockname()[1]
        finally:
            over.set()
            thread.join()


def seen(port: int, folder: Path, seconds: float = 20.0, host: str = "127.0.0.1") -> View:
    file = folder / "radius.secret"
    file.write_bytes(SECRET)
    file.chmod(0o600)
    target = parse_target(f"radius://r.example.test:{port}?secret_file={file}&connect={host}")
    (address,) = addresses(target)
    return look(target, address, target.server_name, seconds)


def challenge(request: bytes, eap: bytes) -> list[bytes]:
    return [answered(request, SECRET, CHALLENGE, eap, b"state")]


def then(eap: bytes) -> Serve:
    """TLS begins, and every answer after that has this in it."""
    return lambda request, count: challenge(request, eap if count else STARTS)


SERVERS: dict[str, tuple[Serve, str]] = {
    "a rejection": (lambda request, _: [answered(request, SECRET, REJECT)], "it ends the login of 'anonymous'"),
    "a login": (lambda request, _: [answered(request, SECRET, ACCEPT)], "it ends the login"),
    "a rejection later": (
        lambda request, count: [answered(request, SECRET, REJECT)] if count else challenge(request, STARTS),
        "it ends the login",
    ),
    "no EAP": (lambda request, _: challenge(request, b""), "without EAP"),
    "EAP that lies about its length": (lambda request, _: challenge(request, b"\1\1\xff\xff\x19\x20"), "malformed EAP"),
    "EAP that says too little": (lambda request, _: challenge(request, b"\1\1\0\2\x19\x20"), "malformed EAP"),
    "a response": (lambda request, _: challenge(request, b"\2" + STARTS[1:]), "malformed EAP"),
    "another method": (lambda request, _: challenge(request, eap_request(1, MD5, b"")), "it wants EAP of type 4"),
    "another method later": (then(eap_request(2, MD5, b"")), "it leaves TLS for EAP of type 4"),
    "no flags": (then(eap_request(2, PEAP, b"")), "no TLS handshake"),
    "no TLS": (then(eap_request(2, PEAP, b"\0" + bytes(range(256)))), "no TLS handshake"),
    "records without end": (then(eap_request(2, PEAP, b"\x40" + HELLO_REQUEST * 400)), "has no end"),
}


@pytest.mark.parametrize("serve", SERVERS)
def test_a_server_that_answers_anything(serve: str, tmp_path: Path) -> None:
    """No certificate, and the reason."""
    talk, sentence = SERVERS[serve]
    with server(talk) as port:
        view = seen(port, tmp_path)
    assert (view.seen, view.shown) == (Seen.NO_TLS, ()), view
    assert sentence in view.problem


def dripping(request: bytes, count: int) -> list[bytes]:
    """A byte at a time, and more to come."""
    time.sleep(0.1)
    return challenge(request, eap_request(2, PEAP, b"\x40\x16") if count else STARTS)


UNTRUSTED: dict[str, Serve] = {
    "another secret": lambda request, _: [answered(request, b"other", CHALLENGE, STARTS)],
    "garbage": lambda _, __: [bytes(range(256)) * 16, b"", b"\x0b"],
    "garbage for us": lambda request, _: [request[:4] + bytes(60), b"\x0b" + request[1:]],
    "a flood": lambda _, __: [b"\x0b" * 99] * 5000,
    "empty fragments without end": then(eap_request(2, PEAP, b"\x40")),
    "drops": dripping,
}


@pytest.mark.parametrize("serve", UNTRUSTED)
def test_a_server_that_never_says_anything_of_use(serve: str, tmp_path: Path) -> None:
    """The look ends by its deadline."""
    with server(UNTRUSTED[serve]) as port:
        began = time.monotonic()
        view = seen(port, tmp_path, 0.7)
        took = time.monotonic() - began
    assert (view.seen in {Seen.NO_TLS, Seen.UNKNOWN}, view.shown, bool(view.problem)) == (True, (), True)
    assert took < 15


def test_answers_by_another_secret(tmp_path: Path) -> None:
    """The sentence names the file with ours, and not what is in it."""
    with server(UNTRUSTED["another secret"]) as port:
        view = seen(port, tmp_path, 0.7)
    assert view == View(Seen.NO_TLS, f"its answers do not fit the secret in {tmp_path}/radius.secret")


def test_a_forged_answer_does_not_keep_the_right_one_away(tmp_path: Path) -> None:
    """Anybody can send a datagram: it is dropped, and the next one is looked at."""

    def serve(request: bytes, _count: int) -> list[bytes]:
        return [answered(request, b"other", REJECT), answered(request, SECRET, CHALLENGE, eap_request(1, MD5, b""))]

    with server(serve) as port:
        view = seen(port, tmp_path)
    assert "it wants EAP of type 4" in view.problem


def test_a_request_that_got_lost_is_sent_again(tmp_path: Path) -> None:
    """The same bytes, which a server knows again."""
    heard: list[bytes] = []

    def serve(request: bytes, count: int) -> list[bytes]:
        heard.append(request)
        return [answered(request, SECRET, REJECT)] if count else []

    with server(serve) as port:
        view = seen(port, tmp_path)
    assert "it ends the login" in view.problem
    assert heard[0] == heard[1]


def test_the_first_fragment_tells_the_length_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As RFC 5216 §3.1 demands, and no other one does."""
    monkeypatch.setattr(eap, "_FRAGMENT", 200)
    flags, length, told = [], 0, 0

    def serve(request: bytes, count: int) -> list[bytes]:
        nonlocal length, told
        said = eap_in(request)
        if count:
            flags.append(said[5])
            told = told or int.from_bytes(said[6:10], "big")
            length += len(said) - (10 if said[5] & 0x80 else 6)
        done = count and not said[5] & 0x40
        return [answered(request, SECRET, REJECT)] if done else challenge(request, STARTS)

    with server(serve) as port:
        seen(port, tmp_path)
    assert (flags[0], {*flags[1:-1]}, flags[-1]) == (0xC0, {0x40}, 0)
    assert length == told > 400


def test_ipv6(tmp_path: Path) -> None:
    """The same by it."""
    with server(SERVERS["a rejection"][0], "::1") as port:
        view = seen(port, tmp_path, host="[::1]")
    assert "it ends the login" in view.problem


def request(eap: bytes) -> bytes:
    return access_request(7, bytes(range(16)), SECRET, user=b"anonymous", state=b"x", eap=eap)


@given(st.binary(max_size=3000), st.binary(min_size=1, max_size=100))
def test_answers_come_out_as_they_went_in(eap: bytes, state: bytes) -> None:
    """EAP in as many attributes as it needs."""
    data = answered(asked := request(b"hello"), SECRET, CHALLENGE, eap, state)
    assert answer_to(asked, data, SECRET) == Answer(CHALLENGE, eap, state)
    assert answer_to(asked, data + b"padding", SECRET) == Answer(CHALLENGE, eap, state)


@given(st.integers(0), st.integers(1, 255))
def test_a_changed_byte_is_seen(place: int, change: int) -> None:
    """Wherever it is."""
    data = bytearray(answered(asked := request(b"hello"), SECRET, CHALLENGE, STARTS, b"state"))
    data[place % len(data)] ^= change
    assert answer_to(asked, bytes(data), SECRET) is None


@pytest.mark.parametrize("seal", ["bad", "none"])
def test_eap_that_nobody_has_signed(seal: Seal) -> None:
    """Dropped, although the authenticator of the whole answer is right: that alone can be forged."""
    asked = request(b"hello")
    assert answer_to(asked, answered(asked, SECRET, CHALLENGE, STARTS, seal=seal), SECRET) is None
    assert (answer_to(asked, answered(asked, SECRET, REJECT, seal=seal), SECRET) is None) == (seal == "bad")


@pytest.mark.parametrize("attributes", [b"\x01", b"\x01\0ab", b"\x01\x01ab", b"\x01\x05ab"])
def test_malformed_attributes(attributes: bytes) -> None:
    """Dropped, although they come from where the secret is known."""
    asked = request(b"hello")
    assert answer_to(asked, packed(asked, SECRET, REJECT, attributes, seal="none"), SECRET) is None


@given(st.binary(max_size=200))
def test_whatever_comes(data: bytes) -> None:
    """Nothing that is not signed is an answer, and nothing raises."""
    assert answer_to(request(b""), data, SECRET) is None
    assert answer_to(request(b""), b"\x0b\x07" + data, SECRET) is None


def test_the_example_of_the_standard() -> None:
    """RFC 2865 §7.1: an Access-Accept for the authenticator of its request."""
    asked = bytes.fromhex("01000038 0f403f9473978057bd83d5cb98f4227a")
    data = bytes.fromhex("02000026 86fe220e7624ba2a1005f6bf9b55e0b2 060600000001 0f0600000000 0e06c0a80103")
    assert answer_to(asked, data, SECRET) == Answer(ACCEPT, b"", None)
