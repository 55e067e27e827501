"""The outbox over real databases: every kind of event, what is said when, and what an outage does to it."""

import dataclasses
import socket
from itertools import pairwise
from pathlib import Path

import pytest
import structlog

from common.errors import MailError
from common.log import Syslog
from issuer.model import events
from issuer.model.enrolment import Validation
from issuer.model.events import EventKind
from issuer.model.failure import Failure
from issuer.model.outcomes import Ended, Ending
from issuer.rules.csr import read_csr
from issuer.store.certificates import Certificates
from issuer.store.tables import outbox
from tests.issuer.notify.outbox_world import NAME, World
from tests.issuer.signing_requests import csr
from tests.servers.stopwatch import Stopwatch

ACTION_WANTED = Failure("the CA refused", "agree first", "do it", "acme-userActionRequired", "https://ca.example/agree")


def test_each_kind_has_its_words(world: World) -> None:
    """Failure, stuck, user action, incident, another CA and recovery each have their own subject, said once."""
    failure = events.failed(NAME, Failure("it failed", hint="mend it"))
    stuck = events.of_ending(Ended(NAME, Ending.FAILED, "", 5, Failure("it failed", reference="dns"), 10))
    action = events.failed(NAME, ACTION_WANTED)
    assert stuck is not None
    for event, words in (
        (failure, "failed"),
        (stuck, "is stuck"),
        (action, "waits for you at the CA"),
        (
            dataclasses.replace(events.incident(NAME), told=Failure("why", url="https://ca.example/why")),
            "is replaced early",
        ),
    ):
        assert world.hear(event) == [f"certfleet: {NAME} {words} on box"]
        assert world.hear(event) == []
    assert world.hear(failure, stuck) == []  # both are milder than what was said
    assert "https://ca.example/agree" in world.post.sent[2][1]
    assert "https://ca.example/why" in world.post.sent[3][1]
    assert world.hear(events.recovered(NAME)) == [f"certfleet: {NAME} recovered on box"]
    assert world.hear(events.recovered(NAME)) == []
    moved = events.ca_changed(NAME, "https://a/dir", "https://b/dir", ["https://a/dir", "https://b/dir"])
    assert moved is not None
    assert world.hear(moved) == [f"certfleet: {NAME} came from another CA on box"]
    assert world.hear(failure) == [f"certfleet: {NAME} failed on box"]


def test_what_a_change_of_the_ca_is_called() -> None:
    """From the first to a fallback, from one to the next, back, and to one that the configuration names newly."""
    told = {
        ("", "first"): None,
        ("", "second"): "issued by the fallback second instead of first",
        ("first", "first"): None,
        ("first", "second"): "issued by the fallback second instead of first",
        ("second", "second"): None,
        ("second", "third"): "issued by the fallback third instead of second",
        ("second", "first"): "back at the first CA first after the fallback second",
        ("gone", "first"): "issued by first instead of gone",
    }
    for (old, new), words in told.items():
        event = events.ca_changed(NAME, old, new, ["first", "second", "third"])
        assert (event.told.what if event else None) == words


def test_a_failure_that_wants_a_person_keeps_its_facts() -> None:
    """A failure of the type userActionRequired becomes its own kind of event, with the address to open."""
    event = events.of_ending(Ended(NAME, Ending.FAILED, "", 5, ACTION_WANTED, 1))
    assert event is not None
    assert (event.kind, event.told) == (EventKind.USER_ACTION, ACTION_WANTED)


def test_endings_that_concern_nobody(world: World) -> None:
    """Held, stopped, not due, elsewhere, given up: none of these is an event."""
    quiet = [Ending.HELD, Ending.STOPPED, Ending.NOT_DUE, Ending.ELSEWHERE, Ending.GIVEN_UP]
    assert [events.of_ending(Ended(NAME, ending)) for ending in quiet] == [None] * len(quiet)


def test_two_issuers_send_one_mail(world: World) -> None:
    """What one process has taken to deliver, another one leaves alone; what it could not deliver it gives back."""
    other = world.another_outbox()
    world.post.down = True
    assert world.hear(events.failed(NAME, Failure("it failed"))) == []
    world.post.down = False
    taken = world.notices.take("a process that died", int(world.now))
    assert [event.name for event in taken] == [NAME]
    other.deliver()
    assert world.post.sent == []
    world.now += 601
    other.deliver()
    assert len(world.post.sent) == 1
    world.outbox.deliver()
    assert len(world.post.sent) == 1


def test_what_cannot_be_read_is_not_in_the_way(world: World) -> None:
    """A row of the outbox that is damaged, or of a kind that only a newer version knows, holds up no other."""
    world.database.write(
        lambda connection: connection.execute(
            outbox.insert(),
            [{"at": 1, "name": NAME, "kind": "x", "content": text} for text in ("{", '{"kind": "of tomorrow"}', "3")],
        )
    )
    assert world.hear(events.failed("other.example.test", Failure("it failed"))) == [
        "certfleet: other.example.test failed on box"
    ]
    assert world.hear(events.failed("third.example.test", Failure("it failed"))) == [
        "certfleet: third.example.test failed on box"
    ]


def test_a_database_that_is_away_loses_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events that cannot be written down stay in memory and are written down the next time, in their order."""
    settled = world.notices.settle
    monkeypatch.setattr(world.notices, "settle", lambda *_, **__: (_ for _ in ()).throw(MailError("away")))
    world.outbox.tell(events.failed(NAME, Failure("it failed")))
    assert not world.outbox.settle()
    monkeypatch.setattr(world.notices, "settle", settled)
    assert world.hear() == [f"certfleet: {NAME} failed on box"]


def test_an_outbox_takes_over_what_another_was_told(world: World) -> None:
    """After a reload the new outbox says what the old one had heard."""
    old = world.another_outbox()
    old.tell(events.failed(NAME, Failure("it failed")))
    world.outbox.take_over(old)
    assert world.hear() == [f"certfleet: {NAME} failed on box"]


@pytest.mark.parametrize("reloads", [1, 2])
def test_a_reload_while_the_database_does_not_answer_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, reloads: int
) -> None:
    """The old outbox was writing down what it had heard, and failed after the new one took over; what it is told later
    is said too."""
    outboxes = [world.another_outbox() for _ in range(reloads)] + [world.outbox]

    def reload_and_fail(*_: object, **__: object) -> None:
        for old, new in pairwise(outboxes):
            new.take_over(old)
        raise MailError("away")

    with monkeypatch.context() as away:
        away.setattr(world.notices, "settle", reload_and_fail)
        outboxes[0].note(events.failed(NAME, Failure("it failed")))
    outboxes[0].tell(events.failed("late.example.test", Failure("it failed")))
    assert world.hear() == ["certfleet: 2 certificates failed on box"]


def test_a_mail_waits_for_quiet_and_for_the_mail_before(world: World) -> None:
    """The daemon mails a minute after the last event, and not sooner than ten minutes after its last mail."""

    def due_after(seconds: float) -> bool:
        start, world.now = world.now, world.now + seconds
        try:
            return world.outbox.mail_due()
        finally:
            world.now = start

    world.outbox.tell(events.failed(NAME, Failure("it failed")))
    assert world.outbox.settle()
    assert (due_after(55), due_after(61)) == (False, True)
    world.now += 61
    world.outbox.deliver()
    world.now += 5
    world.outbox.tell(events.recovered(NAME))
    assert world.outbox.settle()
    assert (due_after(100), due_after(590), due_after(600)) == (False, False, True)


def test_syslog_gets_a_line_an_event(world: World, tmp_path: Path) -> None:
    """With syslog each new event is one line on the local socket, at once and at its level."""
    address = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(5)
        syslog = Syslog("certfleet-issuer", address)
        world.outbox = world.another_outbox(syslog)
        world.hear(events.failed(NAME, Failure("it\nfailed", hint="mend it")))
        world.hear(events.failed(NAME, Failure("it failed")))
        world.hear(events.recovered(NAME))
        failed, recovered = (listener.recv(4096).decode() for _ in range(2))
        syslog.close()
    assert failed.startswith("<27>certfleet-issuer[")  # facility daemon, level error
    assert f"{NAME} failed: it failed; what to do: mend it" in failed
    assert "\n" not in failed
    assert recovered.startswith("<30>")


def test_an_absent_syslog_is_said_once(world: World, tmp_path: Path) -> None:
    """Nobody at the socket: one warning, no error, and the mail goes out; once somebody listens, lines arrive."""
    address = tmp_path / "log"
    syslog = Syslog("certfleet-issuer", str(address))
    world.outbox = world.another_outbox(syslog)
    with structlog.testing.capture_logs() as logs:
        assert world.hear(events.failed(NAME, Failure("it failed")))
        assert world.hear(events.recovered(NAME))
    assert [entry["event"] for entry in logs].count("syslog.absent") == 1
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(address))
        world.hear(events.failed(NAME, Failure("it failed")))
        assert b"it failed" in listener.recv(4096)
    syslog.close()


@pytest.mark.soak
def test_a_thousand_failures_are_one_mail_of_bounded_length(world: World) -> None:
    """The names of one explanation are listed up to a bound, and the explanation is given once."""
    certificates = Certificates(world.database)
    names = [f"host{number:04}.example.test" for number in range(1000)]
    watch = Stopwatch()
    for name in names[:60]:
        certificates.enrol(name, read_csr(csr([name])), comment="", validation=Validation(), now=1)
    assert world.hear(*(events.failed(name, Failure("the CA is away")) for name in names)) == [
        "certfleet: 1000 certificates failed on box"
    ]
    [(_, text)] = world.post.sent
    assert text.count("the CA is away") == 1
    assert "and 950 more" in text
    assert len(text.splitlines()) < 80
    assert watch.seconds() < 30
