"""Answers of a CA that never come to an end, or that are slow to take apart: a request ends in time all the same."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwk import JWKEC

from common.errors import Retry
from issuer.ca.transport import Transport
from issuer.ca.words import links
from issuer.model.errors import AcmeProblem
from tests.servers.authority import Authority
from tests.servers.ports import LOOPBACK
from tests.servers.stopwatch import Stopwatch

HEAD = b"HTTP/1.1 200 OK\r\n"
SECONDS = 1.0


def _again(piece: bytes, pause: float) -> Iterator[bytes]:
    while True:
        yield piece
        time.sleep(pause)


def _endless(head: bytes, piece: bytes, pause: float = 0.1) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        yield head
        yield from _again(piece, pause)

    return pieces


ENDLESS = {
    "100 Continue": _endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "100 Continue as a flood": _endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 0.0),
    "status": _endless(b"HTTP/1.1 200 ", b"O"),
    "header": _endless(HEAD + b"X-A: ", b"a"),
    "body": _endless(HEAD + b"Content-Length: 9999\r\n\r\n", b"a"),
    "chunks": _endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
}


class TlsServer:
    """Context manager: answers every request with *pieces*, whatever was asked, for as long as the client stays."""

    def __init__(self, folder: Path, pieces: Callable[[], Iterator[bytes]]) -> None:
        authority = Authority("Endless CA")
        self.ca_file = authority.write(folder)
        tls = authority.issue(["localhost"]).write(folder / "tls")
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(tls.fullchain, tls.key)
        self._pieces = pieces
        self._listener = socket.create_server((LOOPBACK, 0))
        self.url = f"https://localhost:{self._listener.getsockname()[1]}/dir"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "TlsServer":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            with suppress(OSError), self._context.wrap_socket(plain, server_side=True) as client:
                client.recv(65536)
                for piece in self._pieces():
                    client.sendall(piece)


def _ask(server: TlsServer) -> None:
    key = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
    transport = Transport(
        server.url, key, ca_bundle=server.ca_file, connections=1, clock=time.time, answer_seconds=SECONDS
    )
    try:
        transport.get(server.url)
    finally:
        transport.close()


@pytest.mark.parametrize("what", ENDLESS)
def test_an_answer_has_a_deadline_as_a_whole(tmp_path: Path, what: str) -> None:
    """Drop by drop or as a flood, in its status, its headers or its body: the CA cannot be reached, and that is soon
    known."""
    with TlsServer(tmp_path, ENDLESS[what]) as server:
        watch = Stopwatch()
        with pytest.raises(AcmeProblem, match="cannot be reached") as caught:
            _ask(server)
        assert watch.seconds() < SECONDS + 5
        assert caught.value.retry is Retry.SOON


def test_link_headers_are_read_in_no_time() -> None:
    """A megabyte of "<" that never becomes a link, and links in the thousands."""
    watch = Stopwatch()
    assert links(["<" * 65_000] * 20) == ()
    assert links(["<https://ca.test/1>" + " " * 65_000] * 20) == ()
    assert len(links(['<https://ca.test/1>;rel="alternate"'] * 5000)) == 10
    assert watch.seconds() < 5


def test_links_that_can_be_meant_are_kept() -> None:
    """In one header or in several, quoted or not; what is no https:// URL is left out."""
    several = ['<https://ca.test/a>;rel="alternate", <https://ca.test/b> ; rel=next', '<gopher://x/>;rel="alternate"']
    assert links(several) == (("alternate", "https://ca.test/a"), ("next", "https://ca.test/b"))


@pytest.mark.parametrize(
    "header",
    [
        '<https://ca.test/a>; title="x"; rel="alternate"',
        "<https://ca.test/a>;rel=alternate",
        '<https://ca.test/a> ; REL = "Alternate"',
        '<https://ca.test/a>; rel="up alternate"; rel="next"',
        '<https://ca.test/a>; title="a, <https://evil.test>; rel=alternate \\" ; x"; rel="alternate"',
        "<https://ca.test/a>; title*=UTF-8''a%20b; rel=\"alternate\"",
        '<https://ca.test/a>; flag; ; rel="alternate" ;',
        '<https://ca.test/x>; rel="index", , <https://ca.test/a>\t;\trel="alternate"',
        '</a>; rel="alternate"',
        '<a>; rel="alternate"',
        '<//ca.test/a>; rel="alternate"',
        '<https://ca.test/x>; rel="alternate"; anchor="https://ca.test/other", <a>; rel="alternate"',
    ],
)
def test_links_in_every_legal_form(header: str) -> None:
    """RFC 8288 §3: parameters in any order, lists, quoted commas, case, relative addresses; the first `rel` counts."""
    found = links([header], "https://ca.test/certificate")
    assert [target for relation, target in found if relation == "alternate"] == ["https://ca.test/a"]
