"""Who is asked about a certificate, over a real network: lists by nginx, answers by `openssl ocsp`, and silence."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from gzip import compress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509

from common.deadline import Deadline
from common.revocation import Kept, Limits, Status, ask
from tests.servers.authority import Authority
from tests.servers.ports import LOOPBACK, free_port, release_port
from tests.servers.responder import Responder
from tests.servers.revocation import Published, answered_at, listed_at, revocation_list, scope
from tests.servers.stopwatch import Stopwatch

LIMITS = Limits(seconds=10)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    with Published(tmp_path_factory.mktemp("published"), Authority("Test CA")) as one:
        yield one


def test_a_list_of_a_web_server(published: Published) -> None:
    """Good, then revoked, then stale: as the list that is served says."""
    url = published.url("1.crl")
    leaf = published.issue(listed_at(url))
    published.put("1.crl", revocation_list(published.authority, critical=[scope(url)]))
    assert published.asked(leaf).status is Status.GOOD
    published.put("1.crl", revocation_list(published.authority, leaf, critical=[scope(url)]))
    revoked = published.asked(leaf)
    assert (revoked.status, revoked.reason, revoked.asked) == (Status.REVOKED, "keyCompromise", (url,))
    old = datetime.now(UTC) - timedelta(days=8)
    published.put("1.crl", revocation_list(published.authority, critical=[scope(url)], since=old))
    assert published.asked(leaf).status is Status.UNKNOWN


def test_an_address_that_swallows_packets(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one of that name is asked in time: many hosts have IPv6 that leads nowhere."""
    url, real = published.url("2.crl").replace(LOOPBACK, "localhost"), socket.getaddrinfo
    leaf = published.issue(listed_at(url))
    published.put("2.crl", revocation_list(published.authority, leaf, critical=[scope(url)]))
    with contextlib.ExitStack() as stack:
        hole = stack.enter_context(socket.create_server(("127.0.0.9", urlsplit(url).port), backlog=0))
        for _ in range(3):  # nobody accepts them, so the kernel drops what comes after
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(hole.getsockname())
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in ("127.0.0.9", LOOPBACK)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *its: found if its[0] == "localhost" else real(*its))
        assert published.asked(leaf, Limits(seconds=3)).status is Status.REVOKED


def test_a_list_that_is_no_answer(published: Published) -> None:
    """One that is not there, one that is too large, one that is none or is cut off, and one of a name that nobody
    resolves: unknown, each with why."""
    gone = published.url("gone.crl")
    large = published.put("large.crl", revocation_list(published.authority) + bytes(1000))
    for url, limits, why in [
        (gone, LIMITS, "HTTP 404"),
        (large, Limits(most_bytes=1000), "larger than 1000 bytes"),
        (published.put("page.crl", b"<html>Not found</html>"), LIMITS, "no revocation list"),
        (published.put("none.crl", b""), LIMITS, "no revocation list"),
        (published.put("cut.crl", revocation_list(published.authority)[:-1]), LIMITS, "no revocation list"),
        ("http://crl.invalid/1", LIMITS, ""),
        (f"http://{LOOPBACK}:{free_port()}/", LIMITS, "refused"),
    ]:
        answer = published.asked(published.issue(listed_at(url)), limits)
        (problem,) = answer.problems
        assert (answer.status, answer.available, answer.asked) == (Status.UNKNOWN, False, (url,))
        assert problem.path == url
        assert why in problem.problem


def test_one_that_answers_is_enough(published: Published) -> None:
    """The second name of a list is asked beside the first."""
    here = published.put("2.crl", revocation_list(published.authority))
    answer = published.asked(published.issue(listed_at(published.url("gone.crl"), here)))
    assert (answer.status, answer.by, len(answer.problems)) == (Status.GOOD, here, 1)


HOSTILE = {
    "no HTTP": (b"220 ready\r\n", "not an HTTP answer"),
    "nothing": (b"", "closed connection without response"),
    "a redirect": (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", "HTTP 302"),
    "headers without end": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 99_999, "not an HTTP answer"),
    "interim answers without end": (b"HTTP/1.1 100 Continue\r\n\r\n" * 99_999, "closed connection without response"),
    "a body that is cut off": (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx", "cut off"),
    "a packed body": (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + compress(bytes(9_999_999)), "it packs"),
    "chunks that are none": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "not an HTTP answer"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_peer_that_answers_anything(published: Published, kind: str) -> None:
    """Unknown with a sentence."""
    with socket.create_server((LOOPBACK, 0)) as server:

        def talk() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(10)
                connection.recv(9999)
                connection.sendall(HOSTILE[kind][0])

        thread = threading.Thread(target=talk)
        thread.start()
        answer = published.asked(published.issue(listed_at(f"http://{LOOPBACK}:{server.getsockname()[1]}/")))
        thread.join()
    assert (answer.status, len(answer.problems)) == (Status.UNKNOWN, 1)
    assert HOSTILE[kind][1] in answer.problems[0].problem


def test_silence_ends_with_the_deadline(published: Published) -> None:
    """Somebody who accepts and says nothing holds up the whole question no longer than its limit; who answered before
    counts."""
    here = published.put("3.crl", revocation_list(published.authority))
    watch = Stopwatch()
    with socket.create_server((LOOPBACK, 0)) as silent:
        url = f"http://{LOOPBACK}:{silent.getsockname()[1]}/"
        answer = published.asked(published.issue(listed_at(here, url), answered_at(url)), Limits(seconds=0.5))
    assert (answer.status, answer.by) == (Status.GOOD, here)
    assert [problem.problem for problem in answer.problems] == ["no answer within 0.5 s"]
    assert watch.seconds() < 8


def test_drops_end_with_the_deadline(published: Published) -> None:
    """So does somebody who sends an octet now and then."""
    with socket.create_server((LOOPBACK, 0)) as server:

        def talk() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                for _ in range(200):
                    connection.sendall(b"x")
                    time.sleep(0.05)

        thread = threading.Thread(target=talk)
        thread.start()
        watch = Stopwatch()
        url = f"http://{LOOPBACK}:{server.getsockname()[1]}/"
        answer = published.asked(published.issue(listed_at(url)), Limits(seconds=0.3))
        assert watch.seconds() < 8
        thread.join()
    assert [problem.problem for problem in answer.problems] == ["no answer within 0.3 s"]


def test_a_list_is_parsed_once(published: Published) -> None:
    """For all who ask about it, also where it is none. It is proven for each issuer."""
    kept = Kept()
    url = published.put("7.crl", revocation_list(published.authority))
    found = kept.revocation_list(url, Deadline(1), 1000)
    assert kept.revocation_list(url, Deadline(1), 1000) is found
    assert [found.is_signed_by(published.authority.certificate) for _ in range(2)] == [True, True]
    assert not found.is_signed_by(Authority("Test CA").certificate)
    for content in (b"nothing", revocation_list(published.authority)):
        leaf = published.issue(listed_at(published.put("8.crl", content)))
        assert ask(leaf, published.authority.certificate, LIMITS, time.time(), kept).status is Status.UNKNOWN


def test_many_questions_share_their_lists(published: Published) -> None:
    """A list is fetched once for all, by whoever comes first; who is away is not asked again; a 404 is."""
    url, kept = published.put("5.crl", revocation_list(published.authority)), Kept()
    leaves = [published.issue(listed_at(url)) for _ in range(4)]

    def asked(leaf: x509.Certificate) -> Status:
        return ask(leaf, published.authority.certificate, LIMITS, time.time(), kept).status

    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(asked, leaves[:3])) == {Status.GOOD}
    (published.webroot / "5.crl").unlink()
    assert asked(leaves[3]) is Status.GOOD
    assert published.asked(leaves[3]).status is Status.UNKNOWN
    gone = published.issue(listed_at(published.url("6.crl")))
    assert asked(gone) is Status.UNKNOWN
    published.put("6.crl", revocation_list(published.authority))
    assert asked(gone) is Status.GOOD
    with socket.create_server((LOOPBACK, 0)) as server:
        away = published.issue(listed_at(f"http://{LOOPBACK}:{server.getsockname()[1]}/"))
        server.settimeout(0.1)
        for _ in range(2):
            ask(away, published.authority.certificate, Limits(seconds=0.2), time.time(), kept)
        server.accept()[0].close()
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_certificate_that_names_nobody(published: Published) -> None:
    """It is not asked about, and that is not good; nor is anybody asked by another issuer than its own."""
    assert published.asked(published.issue()).status is Status.NOT_ASKED
    leaf = published.issue(listed_at(published.put("4.crl", revocation_list(published.authority))))
    strange = ask(leaf, Authority("Test CA").certificate, LIMITS, time.time())
    assert (strange.status, strange.problems[0].problem) == (Status.UNKNOWN, "'Test CA' is not its issuer")


def test_a_responder_is_asked(published: Published, tmp_path: Path) -> None:
    """`openssl ocsp` knows what was revoked, and does not know others."""
    port = free_port()
    good, revoked, unheard = (published.issue(answered_at(f"http://{LOOPBACK}:{port}/")) for _ in range(3))
    with Responder(tmp_path, published.authority, port, good=[good], revoked=[revoked]):
        assert published.asked(good).status is Status.GOOD
        answer = published.asked(revoked)
        assert (answer.status, answer.reason) == (Status.REVOKED, "keyCompromise")
        assert published.asked(unheard).status is Status.UNKNOWN
    assert published.asked(good).status is Status.UNKNOWN
    release_port(port)
