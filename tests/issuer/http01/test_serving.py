"""Looking at web servers before the CA does: every address, redirects as a CA follows them, hostile answers."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from issuer.dns.asking import NoAnswer
from issuer.model.acme import Laggard
from issuer.webroot import serving
from issuer.webroot.serving import Net, not_serving
from issuer.webroot.webroots import Webroots
from tests.issuer.http01.conftest import MACHINE, NAME, TOKEN, settings
from tests.servers.authority import Authority
from tests.servers.ports import free_port, release_port
from tests.servers.stopwatch import Stopwatch

CONTENT = f"{TOKEN}.thumbprint"
GOOD = f"HTTP/1.1 200 OK\r\nContent-Length: {len(CONTENT)}\r\n\r\n{CONTENT}".encode()
Answer = bytes | Callable[[socket.socket], None]


class Web:
    """Raw answers on loopback addresses, all on one port: what a web server says is written by the test."""

    def __init__(self, port: int, running: ExitStack, tls: ssl.SSLContext | None = None) -> None:
        self.port = port
        self.requests: list[bytes] = []
        self._running = running
        self._tls = tls

    def serve(self, address: str, *answers: Answer) -> None:
        """The answers in turn, the last one again and again."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = self._running.enter_context(socket.create_server((address, self.port), family=family))
        thread = threading.Thread(target=self._loop, args=[listener, list(answers)], daemon=True)
        thread.start()
        self._running.callback(thread.join, 10)
        self._running.callback(listener.shutdown, socket.SHUT_RDWR)

    def _loop(self, listener: socket.socket, answers: list[Answer]) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                secured = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
                self.requests.append(secured.recv(65536))
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                if callable(answer):
                    answer(secured)
                else:
                    secured.sendall(answer)
                if secured is not connection:
                    secured.close()


@pytest.fixture
def web() -> Iterator[Web]:
    port = free_port()
    with ExitStack() as running:
        yield Web(port, running)
    release_port(port)


@pytest.fixture
def https(tmp_path: Path) -> Iterator[Web]:
    """The same behind TLS, with a certificate that nobody trusts and that is for somebody else."""
    files = Authority("Nobody").issue(["other.test"]).write(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.fullchain, files.key)
    port = free_port()
    with ExitStack() as running:
        yield Web(port, running, context)
    release_port(port)


def net(web: Web, https_port: int = 443, **names: Sequence[str]) -> Net:
    """Names by their first label; a name that is not given cannot be resolved."""

    def addresses(name: str) -> Sequence[str]:
        if name.partition(".")[0] not in names:
            raise NoAnswer("it cannot be looked up")
        return names[name.partition(".")[0]]

    return Net(addresses, web.port, https_port, inside=True)


def verdicts(web: Web, *addresses: str) -> list[str]:
    return list(map(str, not_serving(NAME, TOKEN, CONTENT, net(web, www=addresses or ["127.0.0.1"]))))


def redirect(location: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def test_a_good_answer(web: Web) -> None:
    """The request asks for the right thing as a CA would; white space at the end does not matter."""
    web.serve("127.0.0.1", GOOD, GOOD[:-1].replace(b"Content-Length", b"X") + CONTENT[-1:].encode() + b"\r\n \n")
    assert verdicts(web) == verdicts(web) == []
    head = web.requests[0].decode().split("\r\n")
    assert head[0] == f"GET /.well-known/acme-challenge/{TOKEN} HTTP/1.1"
    assert f"Host: {NAME}:{web.port}" in head


@pytest.mark.parametrize(("address", "host"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_a_name_that_is_an_address(web: Web, address: str, host: str) -> None:
    """It is asked itself, and may redirect to itself; nobody is asked for its addresses."""
    web.serve(address, redirect(f"http://{host}:{web.port}/here"), GOOD)
    assert not_serving(address, TOKEN, CONTENT, net(web)) == []
    assert [request.split(b"\r\n")[1] for request in web.requests] == [f"Host: {host}:{web.port}".encode()] * 2


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\nno", "HTTP 404"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "HTTP 403"),
        (b"HTTP/1.1 200 OK\r\n\r\nwelcome", "other content"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + CONTENT.encode() + b"x", "other content"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 10_000_000, "other content (4096 bytes)"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "not an HTTP answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "not an HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", "its answer has no end"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not an HTTP answer"),
        (b"\x15\x03\x01\x00\x02\x02\x50", "not an HTTP answer"),
        (b"", "closed"),
        (b"HTTP/1.1 302 Found\r\n\r\n", "Location header is missing"),
        (redirect("/" + "x" * 3000), "Location header is missing or malformed"),
        (redirect("ftp://www.example.test/"), "the scheme ftp"),
        (redirect("http://www.example.test:8080/"), "port 8080"),
        (redirect("http://192.0.2.1/"), "IP address"),
        (redirect("http://localhost/"), "not a fully qualified"),
        (redirect("http://www.example.test:99999/"), "not one that a CA follows"),
        (redirect("http://[::1/"), "not one that a CA follows"),
        (redirect("http://elsewhere.example.test/"), "cannot be looked up"),
    ],
)
def test_bad_answers(web: Web, answer: bytes, says: str) -> None:
    """Whatever a web server sends ends in one short verdict that begins with the name and the address."""
    web.serve("127.0.0.1", answer)
    [verdict] = verdicts(web)
    assert verdict.startswith(f"{NAME} at 127.0.0.1: ") or "elsewhere" in verdict
    assert says in verdict
    assert len(verdict) < 300


def test_every_address_is_looked_at(web: Web) -> None:
    """One address that is right does not cover for another that is not."""
    web.serve("127.0.0.1", GOOD)
    web.serve("127.0.0.2", b"HTTP/1.1 404 Not Found\r\n\r\n")
    assert verdicts(web, "127.0.0.1", "127.0.0.2") == [f"{NAME} at 127.0.0.2: HTTP 404"]
    [refused] = verdicts(web, "127.0.0.1", "127.0.0.3")
    assert refused == f"{NAME} at 127.0.0.3: connection refused"


def test_an_address_without_a_route_is_skipped(web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    """An address that this machine cannot send to is a warning while another one decides, and no proof alone."""
    web.serve("127.0.0.1", GOOD)
    assert verdicts(web, "127.0.0.1", "fe80::1") == []
    assert "webserver.no_route" in capsys.readouterr().out
    [verdict] = verdicts(web, "fe80::1")
    assert "no route to any of its addresses" in verdict


def test_no_address_and_no_answer(web: Web) -> None:
    """A name without addresses, and one that cannot be resolved, are verdicts like any other."""
    [homeless] = not_serving(NAME, TOKEN, CONTENT, net(web, www=[]))
    assert str(homeless) == f"{NAME}: it has no address"
    assert not_serving(NAME, TOKEN, CONTENT, net(web)) == [Laggard(NAME, "it cannot be looked up")]


def test_a_name_without_an_address_is_no_fault_of_the_webroot(web: Web, tmp_path: Path) -> None:
    """What to do speaks of DNS then, and of webroot_path where a web server does not serve the file."""
    webroots = Webroots(settings(tmp_path), MACHINE)
    homeless = not_serving(NAME, TOKEN, CONTENT, net(web, www=[]))
    assert "add A or AAAA records" in webroots.too_late(homeless).hint
    assert "webroot_path" in webroots.too_late([*homeless, Laggard(f"{NAME} at ::1", "HTTP 404")]).hint


def test_redirects_are_followed(web: Web, https: Web) -> None:
    """To another host, by another scheme, relative, and to https whose certificate is worth nothing."""
    web.serve("127.0.0.1", redirect(f"//central.example.test:{web.port}/a?b=c%20d", 301))
    web.serve("127.0.0.2", redirect("/again", 307), redirect(f"https://safe.example.test:{https.port}/x", 308))
    https.serve("127.0.0.1", GOOD)
    names = {"www": ["127.0.0.1"], "central": ["127.0.0.2"], "safe": ["127.0.0.1"]}
    assert not_serving(NAME, TOKEN, CONTENT, net(web, https.port, **names)) == []
    assert [request.split(b" ")[1] for request in web.requests[1:]] == [b"/a?b=c%20d", b"/again"]
    assert https.requests[0].startswith(b"GET /x HTTP/1.1\r\nHost: safe.example.test:")


def test_a_redirect_s_target_counts_with_every_address(web: Web) -> None:
    """A verdict says through which redirect it was come by."""
    web.serve("127.0.0.1", redirect(f"http://central.example.test:{web.port}/"))
    web.serve("127.0.0.2", GOOD)
    web.serve("127.0.0.3", b"HTTP/1.1 500 Oops\r\n\r\n")
    known = net(web, www=["127.0.0.1"], central=["127.0.0.2", "127.0.0.3"])
    [verdict] = map(str, not_serving(NAME, TOKEN, CONTENT, known))
    target = f"http://central.example.test:{web.port}"
    assert verdict == f"{NAME} at 127.0.0.1, redirected to {target} at 127.0.0.3: HTTP 500"


def test_a_redirect_to_what_only_we_can_reach(web: Web) -> None:
    """With a public CA a redirect leads to public addresses, or to those of the name itself. The address that a name
    has now is judged, the one that would be connected to, and nothing is sent there."""
    web.serve("127.0.0.1", redirect(f"http://inside.example.test:{web.port}/"), redirect("/there"), GOOD)
    web.serve("127.0.0.2", GOOD)
    known = replace(net(web, www=["127.0.0.1"], inside=["127.0.0.2"]), inside=False)
    [verdict] = map(str, not_serving(NAME, TOKEN, CONTENT, known))
    assert "inside.example.test" in verdict
    assert "an address that is not public" in verdict
    assert len(web.requests) == 1
    assert not_serving(NAME, TOKEN, CONTENT, known) == []


def test_a_redirect_to_an_address_that_the_name_was_given(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thief gives his name an address of ours beside his own: his server leads nobody to a path there. A server in
    our network may go on to https."""
    monkeypatch.setattr(serving, "is_public", lambda address: address == "127.0.0.1")  # as if that one were
    web.serve("127.0.0.1", redirect(f"http://{NAME}:{web.port}/latest/meta-data"), redirect("/there"), GOOD)
    web.serve("127.0.0.2", b"HTTP/1.1 404 Not Found\r\n\r\n", redirect("/here"), GOOD)
    known = replace(net(web, www=["127.0.0.1", "127.0.0.2"]), inside=False)
    [verdict] = map(str, not_serving(NAME, TOKEN, CONTENT, known))
    assert verdict == f"{NAME} at 127.0.0.2: HTTP 404"
    asked = [request.split(b" ")[1] for request in web.requests]
    assert asked.count(b"/latest/meta-data") == 1  # of his own server
    assert not_serving(NAME, TOKEN, CONTENT, known) == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("192.0.2.1", False),
        ("9.9.9.9", True),
        ("169.254.169.254", False),
        ("192.0.0.192", False),
        ("224.0.0.1", False),
        ("2620:fe::fe", True),
        ("::ffff:169.254.169.254", False),
        ("::ffff:9.9.9.9", True),
        ("64:ff9b::169.254.169.254", False),
        ("64:ff9b::9.9.9.9", True),
        ("64:ff9b:1::9.9.9.9", False),
        ("2002:a9fe:a9fe::", False),
        ("::169.254.169.254", False),
        ("::ffff:0:169.254.169.254", False),
        ("fec0::1", False),
        ("ff0e::1", False),
    ],
)
def test_what_is_public(address: str, public: bool) -> None:
    """An address of IPv6 leads to no inner one of IPv4, whatever stands in between."""
    assert serving.is_public(address) is public


def test_redirects_without_end(web: Web) -> None:
    """An ever longer way ends after as many redirects as a CA follows."""
    count = iter(range(10_000))
    web.serve("127.0.0.1", lambda connection: connection.sendall(redirect(f"/{next(count)}")))
    [verdict] = verdicts(web)
    assert "more than 10 redirects" in verdict
    assert len(web.requests) == 11


def test_redirects_that_fan_out(web: Web) -> None:
    """A name with many addresses whose answers multiply does not keep us for ever."""
    count = iter(range(10_000))
    for number in range(1, 5):
        web.serve(f"127.0.0.{number}", lambda connection: connection.sendall(redirect(f"/{next(count)}")))
    assert "more than 50 places" in verdicts(web, *(f"127.0.0.{number}" for number in range(1, 5)))[-1]
    assert len(web.requests) <= 51


def test_a_circle_is_no_answer(web: Web) -> None:
    """A page that redirects to itself never shows the content, so it is not taken for good."""
    web.serve("127.0.0.1", redirect(f"/.well-known/acme-challenge/{TOKEN}"))
    assert "redirects in a circle" in verdicts(web)[0]
    assert len(web.requests) == 1


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_drop_by_drop(web: Web, head: bytes) -> None:
    """A server that always sends one more byte before each time limit is cut off all the same."""

    def drip(connection: socket.socket) -> None:
        connection.sendall(head)
        for _ in range(400):
            connection.sendall(b"x")
            time.sleep(0.05)

    web.serve("127.0.0.1", drip)
    looking = replace(net(web, www=["127.0.0.1"]), look_seconds=0.5)
    watch = Stopwatch()
    assert not_serving(NAME, TOKEN, CONTENT, looking) == [Laggard(f"{NAME} at 127.0.0.1", "no answer within 0.5 s")]
    assert watch.seconds() < 8


def test_tls_that_fails(web: Web, https: Web) -> None:
    """A redirect to https where nobody speaks TLS."""
    web.serve("127.0.0.1", redirect(f"https://plain.example.test:{web.port}/"))
    web.serve("127.0.0.2", b"HTTP/1.1 200 OK\r\n\r\n")
    known = net(web, https.port, www=["127.0.0.1"], plain=["127.0.0.2"])
    [verdict] = map(str, not_serving(NAME, TOKEN, CONTENT, known))
    assert "TLS fails" in verdict
