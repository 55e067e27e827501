"""A name server or a CA that is away, or is not what it should be: one clear failure, nothing lost, nothing left."""

import http.server
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.servers.authority import Authority
from tests.servers.bind import Bind
from tests.servers.lab import Lab
from tests.servers.ports import free_port, release_port

NAME = "www.example.test"


def fails_once(box: Box, *says: str) -> None:
    """One run fails with these words, counted once with its next moment; the table is otherwise as it was."""
    before = box.row(NAME, "csr", "crt", "enable", "ts_expire", "md5_modulus")
    box.fails("run", says=[f"{NAME}: failed: ", "next attempt at the first run after 20", *says])
    count, error, due_at = box.row(NAME, "count_fail_update", "last_error", "due_at")
    assert count == 1
    assert all(phrase in error for phrase in says), error
    assert due_at > time.time()
    assert box.row(NAME, "csr", "crt", "enable", "ts_expire", "md5_modulus") == before
    assert [event for (event,) in box.database.query("SELECT event FROM events ORDER BY id")][-1] == "failed"
    assert box.run("status").code == 1


def next_day(box: Box) -> None:
    """The moment of the next attempt has come."""
    box.database.execute("UPDATE certs SET due_at = 1")


def test_a_key_that_the_name_server_does_not_know(box: Box, tmp_path: Path) -> None:
    """BADKEY names the key and where to add it; the order at the CA is ended and a new one made when it is mended."""
    box.enrol(NAME)
    right = box.document["dns"]["tsig_key_file"]
    box.write(dns={"tsig_key_file": str(Bind(tmp_path / "elsewhere").tsig_key("stranger"))})
    fails_once(box, "BADKEY", "stranger (hmac-sha256)", f"update of _acme-challenge.{NAME}")
    box.write(dns={"tsig_key_file": right})
    next_day(box)
    box.ok("run")
    assert [state for state, _ in box.orders()] == ["FAILED", "STORED"]


def test_a_key_that_may_not_write_here(box: Box, lab: Lab) -> None:
    """REFUSED comes with the line for update-policy that is missing on the name server."""
    lab.bind.tsig_key("other")
    lab.bind.dynamic_zone(f"_acme-challenge.{NAME}", "other")
    lab.bind.reconfigure()
    box.populate(NAME)
    fails_once(box, "REFUSED", f'grant "acme" name _acme-challenge.{NAME}. TXT;')
    assert box.txt(NAME) == set()


def test_a_sub_zone_that_is_not_there(box: Box, lab: Lab) -> None:
    """A name without a sub-zone fails before the CA is asked, and says how to get one."""
    lab.bind.static_zone("example.test", ["www A 127.0.0.1"])
    lab.bind.reconfigure()
    box.populate(NAME)
    outcome = box.run("run")
    assert outcome.code == 1
    assert box.row(NAME, "count_fail_update") == (1,)
    assert "example.test" in box.row(NAME, "last_error")[0]
    assert [url for state, url in box.orders() if state == "STORED"] == []


def test_a_name_server_that_is_down(box: Box, lab: Lab) -> None:
    """Nothing is ordered at the CA while the name server is away; back again, the next run stores."""
    box.enrol(NAME)
    lab.bind.stop()
    fails_once(box, lab.bind.endpoint, "Connection refused", "check that the name server runs")
    assert box.orders() == []
    lab.bind.start()
    next_day(box)
    box.ok("run")
    assert box.row(NAME, "count_fail_update", "last_error") == (0, None)


def test_a_ca_that_is_down(box: Box, lab: Lab) -> None:
    """The CA's address and the reason are told, no challenge is published; back again, the next run stores."""
    box.enrol(NAME)
    lab.pebble.stop()
    serial = lab.bind.serial(f"_acme-challenge.{NAME}")
    fails_once(box, f"the CA at localhost:{lab.pebble.port} cannot be reached", "Connection refused")
    assert lab.bind.serial(f"_acme-challenge.{NAME}") == serial
    lab.pebble.start()
    next_day(box)
    box.ok("run")


@pytest.mark.soak
def test_a_ca_that_forgot_everything(box: Box, lab: Lab) -> None:
    """After a restart Pebble knows neither account nor orders: a new account and a new order, certificates go on."""
    box.enrol(NAME)
    box.ok("run")
    lab.pebble.stop()
    lab.pebble.start()
    box.ok("reissue", NAME)
    assert len(box.database.query("SELECT * FROM versions")) == 2


def test_a_ca_whose_own_certificate_is_not_trusted(box: Box, tmp_path: Path) -> None:
    """With the wrong ca_bundle nothing is sent to the server; the failure names the key of the configuration."""
    box.enrol(NAME)
    box.write(acme={"ca_bundle": str(Authority("Stranger").write(tmp_path / "stranger"))})
    fails_once(box, "is not trusted", "certificate verify failed", "[acme] ca_bundle")
    assert [url for _, url in box.orders() if url] == []


def test_a_ca_bundle_that_is_no_file(box: Box) -> None:
    """A mistyped path is a finding of the configuration, before anything is asked."""
    box.enrol(NAME)
    box.write(acme={"ca_bundle": "/nowhere/ca.pem"})
    box.refused("run", code=2, says=["acme.ca_bundle", "/nowhere/ca.pem"])
    assert box.orders() == []


class Site(http.server.BaseHTTPRequestHandler):
    """A web server that is no ACME server: the first part of the path chooses how it is none."""

    def do_GET(self) -> None:
        status, kind, body = {
            "/html": (200, "text/html", b"<html>Welcome!</html>"),
            "/json": (200, "application/json", b'{"hello": "world"}'),
            "/list": (200, "application/json", b"[1, 2]"),
            "/gone": (404, "text/html", b"<html>Not Found</html>"),
            "/moved": (302, "text/html", b""),
        }[self.path]
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "https://localhost:1/dir")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Quiet."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """URL and trust of a web server with TLS."""
    authority = Authority("Site CA")
    files = authority.issue(["localhost"]).write(tmp_path / "site")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.fullchain, files.key)
    port = free_port()
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Site) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"https://localhost:{port}", authority.write(tmp_path / "site-ca")
        server.shutdown()
        thread.join()
    release_port(port)


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("html", "is not a JSON object"),
        ("json", "is not an ACME server"),
        ("list", "is not a JSON object"),
        ("gone", "HTTP 404 and no problem document"),
        ("moved", "a redirect, which is not followed"),
    ],
)
def test_a_directory_that_is_not_acme(box: Box, site: tuple[str, Path], page: str, says: str) -> None:
    """Whatever a web server answers instead of a directory, there is one sentence and a hint at [acme] directory."""
    box.enrol(NAME)
    url, trust = site
    box.write(acme={"directory": f"{url}/{page}", "ca_bundle": str(trust)})
    fails_once(box, says, "[acme] directory")
    assert box.txt(NAME) == set()


def test_a_secondary_that_never_follows_is_named(box: Box, lab: Lab, tmp_path: Path) -> None:
    """Past propagation_timeout the failure names the server that does not show the value, and the CA was never asked
    to look; the value is taken back."""
    with Bind(tmp_path / "secondary", secondary_of=lab.bind, lag_seconds=float("inf")) as secondary:
        box.enrol(NAME)
        box.write(dns={"nameservers": [lab.bind.endpoint, secondary.endpoint], "propagation_timeout": "2s"})
        fails_once(box, "not visible everywhere within 2s", secondary.endpoint, "NOTIFY")
        assert box.txt(NAME) == set()
        assert [state for state, _ in box.orders()] == ["FAILED"]
