"""transparency: a search for certificates, and sources that answer oddly or never end."""

import contextlib
import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from common.threads import on_thread
from issuer.model.errors import TransparencyError
from issuer.transparency import crt_sh
from issuer.transparency.http import get
from tests.issuer.box import Box
from tests.issuer.notify.test_transparency import CA, NAME, foreign
from tests.servers.ports import LOOPBACK


class Search(BaseHTTPRequestHandler):
    """Answers as crt.sh does."""

    certificates: ClassVar[dict[int, bytes]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        self.asked.append(self.path)
        content = self.certificates[int(query["d"])] if "d" in query else self._list()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(content)

    def _list(self) -> bytes:
        found = [{"id": number, "issuer_name": "C=XX", "name_value": NAME} for number in self.certificates]
        return json.dumps(found).encode()

    def log_message(self, *_words: object) -> None:
        """Be silent."""


def test_a_search(lone_box: Box) -> None:
    """It names no keys, so each certificate is fetched, and only once."""
    lone_box.populate(NAME)
    Search.certificates = {
        7: CA.sign(lone_box.row(NAME, "csr")[0]).cert_pem,
        9: CA.issue([NAME]).cert_pem,
        11: b"no PEM",
    }
    with ThreadingHTTPServer((LOOPBACK, 0), Search) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://{LOOPBACK}:{server.server_port}/"
        lone_box.document["transparency"] = {"crt_sh": url, "crt_sh_pause": "0s"}
        lone_box.write()
        (found,) = foreign(lone_box)
        assert found["seen_at"] == f"{url}?id=9"
        assert len(foreign(lone_box)) == 1
        server.shutdown()
    assert sum("d=" in path for path in Search.asked) == 3


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
