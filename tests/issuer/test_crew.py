"""The agenda of those that work side by side."""

import time
from dataclasses import dataclass, field
from typing import cast

import pytest
import structlog

from issuer.journey.attempt import Attempt
from issuer.loops.crew import Crew, how_far
from issuer.model.outcomes import Ended, Ending, Waiting
from tests.issuer.clock import Clock


@dataclass
class OneWait:
    """An attempt that waits once, for a moment."""

    clock: Clock
    name: str = "www.example.test"
    outcomes: list[str] = field(default_factory=list)

    def proceed(self) -> Ended | Waiting:
        self.outcomes.append("acted")
        return Waiting(self.clock() + 0.3) if len(self.outcomes) == 1 else Ended(self.name, Ending.STORED)


class Faulty:
    """An attempt that breaks its word never to raise."""

    name = "www.example.test"

    def proceed(self) -> Ended | Waiting:
        raise RuntimeError("a fault")


def test_a_fault_that_cannot_be_logged() -> None:
    """It is an ending like any other, and nobody waits for it for ever."""

    def fails(*_: object) -> structlog.typing.EventDict:
        raise OSError("no log")

    crew = Crew(time.time)
    crew.add(cast("Attempt", Faulty()), time.time())
    structlog.configure(processors=[fails])
    crew.start(1)
    returned = crew.collect(1, 60.0)
    assert returned is not None
    assert returned.ended.ending is Ending.FAILED


def test_a_clock_that_is_put_back() -> None:
    """Who waits for less than a second goes on within that, whatever the clock says then."""
    clock = Clock(ahead=3600)
    crew = Crew(clock)
    crew.add(cast("Attempt", OneWait(clock)), clock())
    crew.start(1)
    assert crew.collect(1, 60.0) is None
    assert len(crew.waiting) == 1
    clock.ahead = 0.0
    until, returned = time.monotonic() + 60, None
    while returned is None and time.monotonic() < until:
        crew.start(1)
        returned = crew.collect(1, 0.1)
    assert returned is not None
    assert returned.ended.ending is Ending.STORED


def test_a_clock_that_is_put_back_before_an_attempt_begins() -> None:
    """Who was to begin at once waits for a worker, not for the time of the wrong clock; a later moment stays."""
    clock = Clock(ahead=30 * 86400)
    crew = Crew(clock)
    crew.add(cast("Attempt", OneWait(clock)), clock())
    crew.add(cast("Attempt", OneWait(clock, "later.example.test")), clock() + 3600)
    crew.start(0)
    clock.ahead = 0.0
    crew.start(1)
    assert crew.running == 1
    assert crew.next_at is not None
    assert crew.next_at > clock() + 29 * 86400


def test_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full process table costs nobody his place: all wait for a second, and then act in their order."""
    clock = Clock()
    crew = Crew(clock)

    def refuses(_work: object) -> None:
        raise RuntimeError("can't start new thread")

    attempts = [OneWait(clock, name) for name in ("first.test", "second.test")]
    for attempt in attempts:
        crew.add(cast("Attempt", attempt), clock())
    with monkeypatch.context() as full:
        full.setattr("issuer.loops.crew.on_thread", refuses)
        before = clock()
        crew.start(2)
        assert (crew.running, [attempt.name for attempt in crew.waiting]) == (0, ["first.test", "second.test"])
        assert crew.next_at is not None
        assert crew.next_at > before + 0.5
    clock.ahead += 2
    crew.start(2)
    assert crew.running == 2
    until, returned = time.monotonic() + 60, []
    while not crew.idle and time.monotonic() < until:
        crew.start(2)
        returned.append(crew.collect(2, 0.1))
    assert sorted(each.ended.name for each in returned if each is not None) == ["first.test", "second.test"]
    assert crew.names == set()


def test_how_far_a_run_is() -> None:
    """Orders by what they wait for, those of one kind together."""
    ca, zone = "the CA's validation", "every server to show the challenge"
    told = how_far(3, 9, 2, [ca, zone, ca])
    assert told == f"3 of 9 done, 2 at work, 1 wait for {zone}, 2 wait for {ca}"
    assert how_far(1, 1, 0, []) == "1 of 1 done, 0 at work"
