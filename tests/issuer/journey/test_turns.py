"""Two certificates for the same names take turns: a CA may give both the same order."""

from dataclasses import replace

from common.errors import CertfleetError
from issuer.journey.attempt import Attempt
from issuer.model.outcomes import Ended, Ending, Waiting
from tests.issuer.fakes.calls import Call, raising
from tests.issuer.fakes.world import NAME, Process, World

OTHER = f"{NAME}-rsa"


def two() -> tuple[World, Process]:
    """Two rows for the same names, the second under a label."""
    world = World()
    world.enrol()
    world.tables.certs[OTHER] = replace(world.row(), name=OTHER)
    return world, world.process()


def attempt_at(process: Process, name: str) -> Attempt:
    return Attempt(process.world.row(name), process.tools, stopping=lambda: False)


def test_the_second_waits_until_the_first_has_ended() -> None:
    """The second asks nobody anything while the first has an order, and is issued afterwards."""
    world, process = two()
    first, second = attempt_at(process, NAME), attempt_at(process, OTHER)
    world.zones["dns-01"].delay = 20.0
    outcome = first.proceed()
    while isinstance(outcome, Waiting):
        made = len(process.calls.made)
        assert isinstance(second.proceed(), Waiting)
        assert len(process.calls.made) == made
        world.clock.wait_until(outcome.at)
        outcome = first.proceed()
    assert outcome.ending is Ending.STORED
    assert process.attempt(OTHER).ending is Ending.STORED


def test_a_failure_gives_the_turn_back() -> None:
    """However the first ends, also by a fault of ours, the second gets its turn."""
    for error in (CertfleetError("refused"), RuntimeError("a fault")):
        _, process = two()
        process.calls.before(Call("ca.open_order"), raising(error))
        outcome = attempt_at(process, NAME).proceed()
        assert isinstance(outcome, Ended)
        assert outcome.ending is Ending.FAILED
        assert process.attempt(OTHER).ending is Ending.STORED
