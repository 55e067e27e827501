"""The probe against peers that answer anything: one look ends by its deadline, with a sentence. NNTP has no daemon here
that Debian would install on any host: a stand-in speaks RFC 4642."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.probe.addresses import addresses
from common.probe.look import look
from common.probe.staple import NotSeen, stapled
from common.probe.target import STARTTLS_PORTS, parse_target
from common.probe.view import Seen, View
from tests.servers.authority import Authority

Talk = Callable[[socket.socket], None]


@contextlib.contextmanager
def talker(talk: Talk) -> Iterator[int]:
    """A server that talks so to one client after another; its port."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(20)
                    talk(connection)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def seen(scheme: str, port: int, seconds: float = 5.0) -> View:
    target = parse_target(f"{scheme}://www.example.test:{port}?connect=127.0.0.1")
    (address,) = addresses(target)
    return look(target, address, target.server_name, seconds)


def endless(piece: bytes) -> Talk:
    def talk(connection: socket.socket) -> None:
        while True:
            connection.sendall(piece)

    return talk


def once(data: bytes) -> Talk:
    def talk(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(9999)

    return talk


TALKS: dict[str, Talk] = {
    "nothing": once(b""),
    "garbage": once(bytes(range(256)) * 40),
    "endless lines": endless(b"220-still\r\n" * 1000),
    "an endless line": endless(b"x" * 9999),
    "a large length": once(b"\x30\x84\xff\xff\xff\xff" + b"\x0a" * 9999),
    "zeros": endless(b"\0" * 9999),
}


@pytest.mark.parametrize("talk", TALKS)
@pytest.mark.parametrize("scheme", [*STARTTLS_PORTS, "https"])
def test_a_peer_that_answers_anything(scheme: str, talk: str) -> None:
    """No certificate, a reason, no exception, and never beyond the bounds of one look."""
    with talker(TALKS[talk]) as port:
        began = time.monotonic()
        view = seen(scheme, port)
    assert (view.seen, bool(view.problem), view.shown) == (Seen.NO_TLS, True, ())
    assert time.monotonic() - began < 10


RECORD = b"\x16\x03\x03"
ANSWERS: dict[str, Talk] = {
    **TALKS,
    "an alert": once(b"\x15\x03\x03\x00\x02\x02\x28"),
    "records without a message": endless(RECORD + b"\0\0"),
    "messages without end": endless(RECORD + b"\x10\0" + bytes(4096)),
    "a message without end": endless(RECORD + b"\x40\0" + b"\x02\xff\xff\xff" + bytes(0x3FFC)),
    "another message": once(RECORD + b"\0\x04\x0b\0\0\0"),
    "a hello without a group": once(RECORD + b"\0\x2a\x02\0\0\x26\x03\x03" + bytes(36)),
    "a hello of TLS 1.3 with nothing in it": once(
        RECORD + b"\0\x32\x02\0\0\x2e\x03\x03" + bytes(33) + b"\x13\x01\0\0\x06\0\x2b\0\x02\x03\x04"
    ),
}


@pytest.mark.parametrize("talk", ANSWERS)
def test_a_staple_of_a_peer_that_answers_anything(talk: str) -> None:
    """A reason, and nothing else is raised; a message that never ends does not last as long as the peer likes."""
    with talker(ANSWERS[talk]) as port:
        target = parse_target(f"https://www.example.test:{port}?connect=127.0.0.1")
        (address,) = addresses(target)
        began = time.monotonic()
        with pytest.raises(NotSeen, match=r"\w"):
            stapled(target, address, target.server_name, 5.0)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("scheme", [*STARTTLS_PORTS, "https"])
def test_a_peer_that_stays_silent(scheme: str) -> None:
    """The whole look has one deadline, whatever drips in meanwhile."""

    def drip(connection: socket.socket) -> None:
        for _ in range(400):
            connection.sendall(b"2")
            time.sleep(0.05)

    with talker(drip) as port:
        began = time.monotonic()
        view = seen(scheme, port, 0.4)
        took = time.monotonic() - began
    assert view.seen is Seen.NO_TLS
    assert took < 15


REFUSALS = {
    "smtp": (b"554 no service\r\n", "it greets: '554 no service'"),
    "imap": (b"* BYE too many\r\n", "it greets: '* BYE too many'"),
    "pop3": (b"+OK\r\n-ERR no \x1b[31mTLS\r\n", "it answers STLS: '-ERR no \\\\x1b[31mTLS'"),
    "ftp": (b"220-a\r\n221 is not the end\r\n220 b\r\n500 what?\r\n", "it answers AUTH TLS: '500 what?'"),
    "sieve": (b'"SIEVE" "x"\r\nOK\r\nNO "off"\r\n', "it answers STARTTLS: 'NO \"off\"'"),
    "postgres": (b"N", "it answers SSLRequest with no"),
    "ldap": (b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\x00\x04\x00", "the result code 52"),
    "mysql": (b"\x0b\0\0\0\xff\x15\x04blocked!", "it greets: 'blocked!'"),
    "xmpp": (b"<stream:stream><stream:features/>", "it offers no TLS"),
    "nntp": (b"502 go away\r\n", "it greets: '502 go away'"),
}


@pytest.mark.parametrize("scheme", REFUSALS)
def test_a_service_that_says_no(scheme: str) -> None:
    """Its own words are in the sentence, safe to show."""
    answer, sentence = REFUSALS[scheme]
    with talker(once(answer)) as port:
        view = seen(scheme, port)
    assert view.seen is Seen.NO_TLS
    assert sentence in view.problem


def test_nntp(tmp_path: Path) -> None:
    """STARTTLS after the greeting of a server that allows no posting."""
    files = Authority("Test Root").issue(["www.example.test"]).write(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.fullchain, files.key)

    def talk(connection: socket.socket) -> None:
        connection.sendall(b"201 news.example.test ready, no posting\r\n")
        assert connection.recv(99) == b"STARTTLS\r\n"
        connection.sendall(b"382 Continue with TLS negotiation\r\n")
        with context.wrap_socket(connection, server_side=True):
            pass

    with talker(talk) as port:
        view = seen("nntp", port)
    assert (view.seen, view.version) == (Seen.SERVED, "TLSv1.3"), view
    assert view.shown == (ssl.PEM_cert_to_DER_cert(files.cert.read_text(encoding="ascii")),)


def test_nobody_there() -> None:
    """A refused connection is down."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert seen("imap", port).seen is Seen.DOWN


def test_a_name_that_tls_cannot_carry() -> None:
    """It is a sentence."""
    with talker(once(b"")) as port:
        target = parse_target(f"https://.example.test:{port}?connect=127.0.0.1")
        (address,) = addresses(target)
        view = look(target, address, target.server_name, 5.0)
    assert view.seen is Seen.NO_TLS
    assert view.problem
