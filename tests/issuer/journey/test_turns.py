"""Two certificates for the same names take turns: a CA may give both the same order."""

from dataclasses import replace

from common.errors import CertfleetError
from issuer.journey.attempt import Attempt
from issuer.model.outcomes import Ended, Ending, Waiting
from tests.issuer.fakes.ca import refusal
from tests.issuer.fakes.calls import Call, raising
from tests.issuer.fakes.world import NAME, Process, World
from tests.issuer.signing_requests import csr

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


def test_an_order_that_the_other_one_has_finished() -> None:
    """An interrupted order is given to the other certificate, whose key its certificate then has. The first one gets a
    new order soon: the CA has done nothing wrong."""
    world, process = two()
    world.change(csr=csr([NAME], "rsa2048"))
    world.ca.shares_orders = True
    process.calls.before(Call("ca.finalize"), raising(refusal("serverInternal", "oh", 500)))
    interrupted = process.attempt()
    assert process.attempt(OTHER).ending is Ending.STORED
    world.clock.wait_until(interrupted.retry_at)
    taken = world.process().attempt()
    assert (taken.ending, taken.retry_at) == (Ending.FAILED, int(world.clock()) + 600)
    assert taken.failure is not None
    assert "finished for another certificate" in taken.failure.what
    world.clock.wait_until(taken.retry_at)
    assert world.process().attempt().ending is Ending.STORED
    assert len(world.ca.opened) == 2
