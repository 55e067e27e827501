"""transparency: a search for certificates, and sources that answer oddly or never end."""

import contextlib
import gzip
import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from common.threads import on_thread
from issuer.model.errors import TransparencyError
from issuer.transparency import crt_sh
from issuer.transparency.http import get
from tests.issuer.box import Box
from tests.issuer.notify.test_transparency import CA, NAME, foreign
from tests.servers.ports import LOOPBACK

MISSING = b"there is no such page"


class Search(BaseHTTPRequestHandler):
    """Answers as crt.sh does."""

    certificates: ClassVar[dict[int, bytes]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        self.asked.append(self.path)
        content = self.certificates[int(query["d"])] if "d" in query else self._list()
        self.send_response(200 if content != MISSING else 404)
        self.end_headers()
        self.wfile.write(content)

    def _list(self) -> bytes:
        found = [{"id": number, "issuer_name": "C=XX", "name_value": NAME} for number in self.certificates]
        return json.dumps(found).encode()

    def log_message(self, *_words: object) -> None:
        """Be silent."""


@contextlib.contextmanager
def searched(box: Box) -> Iterator[str]:
    """The address of a running Search, which *box* asks."""
    with ThreadingHTTPServer((LOOPBACK, 0), Search) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://{LOOPBACK}:{server.server_port}/"
        box.document["transparency"] = {"crt_sh": url, "crt_sh_pause": "0s"}
        box.write()
        yield url
        server.shutdown()


def test_a_search(lone_box: Box) -> None:
    """It names no keys, so each certificate is fetched, and only once."""
    lone_box.populate(NAME)
    Search.certificates = {
        7: CA.sign(lone_box.row(NAME, "csr")[0]).cert_pem,
        9: CA.issue([NAME]).cert_pem,
        11: b"-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n",
    }
    Search.asked.clear()
    with searched(lone_box) as url:
        (found,) = foreign(lone_box)
        assert found["seen_at"] == f"{url}?id=9"
        assert len(foreign(lone_box)) == 1
    assert sum("d=" in path for path in Search.asked) == 3


@pytest.mark.parametrize(
    "bad", ["nothing", "missing", "a page", "a zero", "half of it", "half of it in DER"], ids=lambda bad: bad
)
def test_a_search_that_shows_no_whole_certificate_is_asked_again(lone_box: Box, bad: str) -> None:
    """One bad answer hides no certificate: the look ends with 1 and says which, reads the others, and the next one
    finds it."""
    lone_box.populate(NAME)
    whole = CA.issue([NAME])
    der = x509.load_pem_x509_certificate(whole.cert_pem).public_bytes(Encoding.DER)
    answers = {
        "nothing": b"",
        "missing": MISSING,
        "a page": b"<html>busy</html>",
        "a zero": b"0 rows " + bytes(99),
        "half of it": whole.cert_pem[:-50],
        "half of it in DER": der[:-50],
    }
    Search.certificates = {7: answers[bad], 9: CA.issue([NAME]).cert_pem}
    with searched(lone_box) as url:
        done = lone_box.fails("transparency", "--json", says=[])
        assert [one["seen_at"] for one in done.report()["foreign"]] == [f"{url}?id=9"]
        assert "it showed no whole certificate for 7" in str(done.report()["unread"])
        Search.certificates[7] = whole.cert_pem if "DER" not in bad else der
        assert {one["seen_at"] for one in foreign(lone_box)} == {f"{url}?id=7", f"{url}?id=9"}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_an_answer_that_is_cut_off(packed: bool) -> None:
    """Shorter than it was announced, or before the end of what is packed: nobody takes it for the whole."""
    body = gzip.compress(b"a page", mtime=0)[:-1] if packed else b"a pag"

    class Cutting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            header = ("Content-Encoding", "gzip") if packed else ("Content-Length", "6")
            self.send_header(*header)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            """Be silent."""

    with ThreadingHTTPServer((LOOPBACK, 0), Cutting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(TransparencyError, match="its answer is cut off"):
            get(f"http://{LOOPBACK}:{server.server_port}/", 5)
        server.shutdown()


@pytest.mark.parametrize("answer", [None, b""], ids=["missing", "nothing"])
def test_a_search_without_a_list(answer: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is not there, as by a wrong address, says nothing about certificates."""
    monkeypatch.setattr(crt_sh, "get", lambda _url, _seconds: answer)
    with pytest.raises(TransparencyError, match="no list of certificates"):
        list(crt_sh.CrtSh("https://crt.example/", 0).certificates(NAME, ()))


@pytest.mark.parametrize("number", ["9223372036854775808", "-1", '"x"', "null", "[]"])
def test_a_search_with_odd_numbers(number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that the memory cannot keep is an answer that cannot be read, and no fault of ours."""
    monkeypatch.setattr(crt_sh, "get", lambda _url, _seconds: f'[{{"id": {number}}}]'.encode())
    with pytest.raises(TransparencyError, match="no list of certificates"):
        list(crt_sh.CrtSh("https://crt.example/", 0).certificates(NAME, ()))


@pytest.mark.parametrize("begin", [b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_source_that_drips(begin: bytes) -> None:
    """Its time is over at the same moment, wherever in its answer it goes on without end."""

    class Dripping(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(begin)
            with contextlib.suppress(OSError):
                while not over.wait(0.1):
                    self.request.sendall(b" ")

    over = threading.Event()
    with socketserver.ThreadingTCPServer((LOOPBACK, 0), Dripping) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        asked = on_thread(lambda: get(f"http://{LOOPBACK}:{server.server_address[1]}/", 0.5))
        try:
            with pytest.raises(TransparencyError, match="no answer within"):
                asked.result(timeout=5)
        finally:
            over.set()
            server.shutdown()
