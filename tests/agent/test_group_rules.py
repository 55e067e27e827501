"""Which certificates go together, and which of them is at fault: tables, without a host."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.host.state_folder import StateFolder
from agent.journey.member import Life, life_by
from agent.model.certificate import Certificate, Command, Service, Use
from agent.model.errors import InstallError
from agent.rules.blame import first_failing, suspects_last
from agent.rules.evidence import Sight
from agent.rules.groups import groups
from agent.rules.install_states import InstallState
from agent.rules.journal import JournalEntry, Part, SavedFile, from_document
from common.probe.view import Seen

WEB = Service("web", (("check",),), (("reload",),))
MAIL = Service("mail", (), (("restart",),))
SILENT = Service("")


def certificate(name: str, *services: Service) -> Certificate:
    return Certificate(name, frozenset({name}), Path("key"), uses=tuple(Use(one) for one in services))


@pytest.mark.parametrize(
    ("services", "alone", "expected"),
    [
        ([(WEB,), (WEB,), (WEB,)], "", ["abc"]),
        ([(WEB,), (MAIL,), (WEB,)], "", ["b", "ac"]),
        ([(WEB,), (MAIL,), (WEB, MAIL)], "", ["abc"]),
        ([(WEB,), (WEB,), (WEB,)], "b", ["b", "ac"]),
        ([(SILENT,), (SILENT,), ()], "", ["a", "b", "c"]),
    ],
)
def test_what_goes_together(services: Sequence[Sequence[Service]], alone: str, expected: list[str]) -> None:
    """By a chain of shared services; commands that do nothing join nothing."""
    items = [certificate(name, *used) for name, used in zip("abc", services, strict=True)]
    found = groups(items, lambda one: one, lambda one: one.name == alone)
    assert ["".join(one.name for one in group) for group in found] == expected


@pytest.mark.parametrize("good", [0, 7])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 40, 500])
def test_the_first_bad_one_is_found(count: int, good: int) -> None:
    """Wherever it is: by as many tries as halving takes, and none of them with all."""
    good = min(good, count - 1)
    for bad in range(good + 1, count + 1):
        tried: list[int] = []

        def passes(number: int, bad: int = bad, tried: list[int] = tried) -> bool:
            tried.append(number)
            return number < bad

        assert first_failing(count, passes, count, good) == bad
        assert len(tried) <= math.ceil(math.log2(count - good))
        assert not {good, count} & set(tried)


def test_what_the_complaint_names_comes_last() -> None:
    """And how many stand before."""
    paths = {"a": ["/etc/a.pem"], "b": ["/etc/b.pem", "/real/b.pem"], "c": []}
    assert suspects_last("abc", paths.__getitem__, "cannot load /real/b.pem: bad") == (["a", "c", "b"], 2)
    assert suspects_last("abc", paths.__getitem__, "no") == (["a", "b", "c"], 3)


def test_a_journal_is_read_as_it_was_written() -> None:
    file = SavedFile(Path("/x"), "new", "backup", "old", 0o640, 7, 8, {})
    looks = (Sight("t", "a", Seen.SERVED, sha256="f"), Sight("u", "a", Seen.UNKNOWN, listens=True))
    entry = JournalEntry("a.b", InstallState.SWAPPING, (Part("a.b", "f", (file,), looks),))
    assert from_document(entry.document()) == entry


def test_a_journal_of_thousands_is_read(tmp_path: Path) -> None:
    """One service may have them all in one install, and a killed run has to bring back each of them."""
    state = StateFolder(tmp_path)
    state.create()
    file = SavedFile(Path("/etc/ssl/private/www.example.org.pem"), "new", "backup", "old", 0o640, 7, 8, {})
    look = Sight("https://www.example.org", "192.0.2.1", Seen.SERVED, sha256="f" * 64)
    parts = tuple(Part(f"{number}.example.org", "f" * 64, (file,), (look,)) for number in range(5000))
    entry = JournalEntry("0.example.org", InstallState.SWAPPING, parts)
    state.save_journal(entry)
    assert state.journals() == [entry]


def test_a_journal_of_an_earlier_release_is_read() -> None:
    """It does not say whether something listened where nothing was shown: then nothing did."""
    looks = (Sight("t", "a", Seen.SERVED, sha256="f"), Sight("u", "a", Seen.UNKNOWN, listens=True))
    document = JournalEntry("a.b", InstallState.SWAPPING, (Part("a.b", "f", (), looks),)).document()
    for look in document["parts"][0]["before"]:
        del look["listens"]
    (part,) = from_document(document).parts
    assert part.before == (looks[0], Sight("u", "a", Seen.UNKNOWN))


def test_services_of_different_hosts_do_not_meet() -> None:
    """One preset on two hosts is two services, and a group each; two certificates of one host share one."""

    def certificate(name: str, host: str) -> Certificate:
        return Certificate(name, frozenset({name}), Path("/k"), uses=(Use(Service("nginx", (("t",),), host=host)),))

    here, there, elsewhere = "", "ssh://root@a.example", "ssh://root@b.example"
    items = [certificate(f"{number}.test", host) for number, host in enumerate((here, there, elsewhere, there))]
    assert [[one.name for one in group] for group in groups(items, lambda one: one, lambda _: False)] == [
        ["0.test"],
        ["2.test"],
        ["1.test", "3.test"],
    ]


class Asked:
    """Programs that say how a service is: an exit code of 1 where it does not run."""

    def __init__(self, *, running: bool) -> None:
        self.programs, self._running, self.asked = self, running, 0

    def run(self, step: str, commands: Sequence[Command]) -> None:
        self.asked += 1
        if commands and not self._running:
            raise InstallError(step, "`is-active` failed")


@pytest.mark.parametrize(
    ("sights", "has_question", "running", "expected"),
    [
        ([Seen.SERVED], True, False, Life.RUNS),
        ([Seen.DOWN, Seen.NO_TLS], True, False, Life.RUNS),
        ([Seen.DOWN], True, True, Life.RUNS),
        ([Seen.UNKNOWN], True, True, Life.RUNS),
        ([Seen.UNKNOWN], True, False, Life.STOPPED),
        ([Seen.UNKNOWN, Seen.DOWN], True, False, Life.STOPPED),
        ([], True, True, Life.RUNS),
        ([], True, False, Life.STOPPED),
        ([Seen.DOWN], False, True, Life.STOPPED),
        ([Seen.UNKNOWN], False, True, Life.STOPPED),
        ([], False, True, Life.UNKNOWN),
    ],
)
def test_what_proves_that_a_service_runs(
    sights: Sequence[Seen], has_question: bool, running: bool, expected: Life
) -> None:
    """An answer of a socket, or the word of the one that starts it. A socket that cannot be asked proves nothing."""
    asked = Asked(running=running)
    service = Service("web", is_up=(("is-active",),) if has_question else ())
    seen = [Sight("t", str(number), one) for number, one in enumerate(sights)]
    assert life_by(service, seen, asked) is expected  # type: ignore[arg-type]
    assert not (asked.asked and expected is Life.UNKNOWN)


def test_a_socket_without_that_type_of_key_answers_all_the_same() -> None:
    """TLS 1.3 alone, and no certificate of RSA: nobody can ask for that one, and yet the service runs."""
    sight = Sight("t", "a", Seen.UNKNOWN, listens=True)
    assert life_by(Service("web"), [sight], Asked(running=False)) is Life.RUNS  # type: ignore[arg-type]
