"""The page at the daemon's /: searched and sorted by its address, for this machine alone, and cheap to ask for."""

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from common.config_file import load
from issuer.commands import page as page_of_the_daemon
from issuer.commands.page import DaemonPage
from issuer.commands.report import Looks, gather
from issuer.loops.listen import Asked, Listener
from issuer.model.config import Settings
from issuer.model.errors import StoreError
from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.issuer.page.fleet import fill, name_of
from tests.servers.database import SqliteDatabase
from tests.servers.ports import free_port, release_port
from tests.servers.process import wait_until

HERE = Asked("", "", is_local=True)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Those of a fleet of thirty."""
    folder = tmp_path_factory.mktemp("fleet")
    box = Box(folder / "box", SqliteDatabase(folder))
    box.set_up()
    fill(box, 30)
    return load(Settings, box.config)


@pytest.fixture
def address(settings: Settings) -> Iterator[str]:
    """The page, listening."""
    port = free_port()
    listener = Listener(f"127.0.0.1:{port}", {"/": DaemonPage(settings, lambda: {"ns1.test": 1.25}).answer})
    yield f"http://127.0.0.1:{port}/"
    listener.close()
    release_port(port)


def test_the_whole_page_and_a_part_of_it(address: str) -> None:
    """The overview with what only the daemon knows, under a strict policy; a query shows a part of the list."""
    with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - ours
        whole, headers = answer.read().decode(), answer.headers
    assert "ns1.test <b>1.25 s</b>" in whole
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    with urllib.request.urlopen(f"{address}?search=weber&sort=name", timeout=30) as answer:  # noqa: S310
        part = answer.read().decode()
    found = [number for number in range(30) if number % 13 == 4]
    assert f'Certificates <span class="count">{len(found)}' in part
    assert all(name_of(number) in part for number in found)
    assert name_of(1) not in part
    assert 'id="days"' not in part
    with urllib.request.urlopen(f"{address}?search=%3Cscript%3E%22", timeout=30) as answer:  # noqa: S310
        hostile = answer.read().decode()
    assert 'value="&lt;script&gt;&#34;"' in hostile


def test_it_is_for_this_machine_alone(settings: Settings) -> None:
    """Who comes from elsewhere gets no name; /metrics may be open to the network."""
    answer = DaemonPage(settings, dict).answer(Asked("", "", is_local=False))
    assert answer.status == 403
    assert b"example.test" not in answer.body


def test_one_look_at_a_time(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty who ask at once cause one look and are asked to wait; after it all see it, and nobody causes another while
    it is fresh."""
    looks, go_on = [0], threading.Event()

    def slow(*arguments: object, **words: object) -> object:
        looks[0] += 1
        assert go_on.wait(30)
        return gather(settings)

    monkeypatch.setattr(page_of_the_daemon, "gather", slow)
    monkeypatch.setattr(page_of_the_daemon, "_PATIENCE", 0.1)
    shown = DaemonPage(settings, dict)
    answers = []
    with ExitStack() as stack:
        stack.callback(go_on.set)
        for _ in range(20):
            asker = threading.Thread(target=lambda: answers.append(shown.answer(HERE)))
            asker.start()
            stack.callback(asker.join)
    assert {answer.status for answer in answers} <= {200, 503}
    assert [answer.headers["Refresh"] for answer in answers if answer.status == 503]
    wait_until(lambda: shown.answer(HERE).status == 200, "the look is done", 30)
    assert shown.answer(HERE).body == shown.answer(HERE).body
    assert looks == [1]


def test_an_old_look_is_shown_while_another_is_made(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once enough, with its age, but not after a day; the first visitor of all is told how far the look is."""
    go_on = threading.Event()

    def slow(*arguments: object, watch: Callable[[Looks], Looks]) -> object:
        def held(looks: Looks) -> Looks:
            yield from watch(looks)
            assert go_on.wait(30)

        return gather(settings, watch=held)

    monkeypatch.setattr(page_of_the_daemon, "gather", slow)
    monkeypatch.setattr(page_of_the_daemon, "_PATIENCE", 0.1)
    monkeypatch.setattr(page_of_the_daemon, "_SHARE", 0)
    monkeypatch.setattr(page_of_the_daemon, "_FRESH", 0)
    monkeypatch.setattr(page_of_the_daemon, "_OLD", 0)
    shown = DaemonPage(settings, dict)
    wait_until(lambda: "looked at, 30 so far" in shown.answer(HERE).body.decode(), "how far it is", 30)
    go_on.set()
    wait_until(lambda: shown.answer(HERE).status == 200, "the look is done", 30)
    go_on.clear()
    answer = shown.answer(HERE)
    assert (answer.status, b" old; a newer look is under way" in answer.body) == (200, True)
    monkeypatch.setattr(page_of_the_daemon, "_KEPT", 0)
    assert shown.answer(HERE).status == 503
    go_on.set()


def test_a_database_that_is_away_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a sentence with what to do; the next one who asks looks again."""

    def away(*arguments: object, **words: object) -> object:
        raise StoreError("the database does not answer", hint="start it")

    monkeypatch.setattr(page_of_the_daemon, "gather", away)
    shown = DaemonPage(settings, dict)
    answer = shown.answer(HERE)
    assert (answer.status, b"start it" in answer.body) == (503, True)
    monkeypatch.undo()
    assert shown.answer(HERE).status == 200


def test_the_daemon_shows_it(lone_box: Box, tmp_path: Path) -> None:
    """At / of its address, with no word of the paths on this machine."""
    fill(lone_box, 2)
    with Service(lone_box) as service:
        wait_until(lambda: service.get("/")[0] == 200, "the page is there", 60)
        status, body = service.get("/")[:2]
    assert status == 200
    assert name_of(1) in body
    assert str(tmp_path) not in body
