"""A name whose file could not be validated is tried by its zone, where that is allowed and possible."""

import dataclasses
from collections.abc import Callable

import pytest

from common.errors import CertfleetError
from issuer.model.config import WebrootSettings
from issuer.model.enrolment import Enrolment
from issuer.model.errors import DnsError, WebrootError
from issuer.model.outcomes import Ending
from tests.issuer.fakes.ca import refusal
from tests.issuer.fakes.calls import Call, raising
from tests.issuer.fakes.world import NAME, Process, World

HOUR = 3600


def process(world: World, *, allowed: bool = True) -> Process:
    made = world.process()
    webroot = WebrootSettings(fall_back_to_dns=allowed)
    made.tools = dataclasses.replace(made.tools, settings=dataclasses.replace(made.tools.settings, webroot=webroot))
    return made


def failed(error: CertfleetError) -> World:
    """A row by a file, whose first attempt met *error*."""
    world = World()
    world.enrol(http=True)
    first = process(world)
    first.calls.before(Call("zone.publish"), raising(error))
    assert first.attempt().ending is Ending.FAILED
    world.clock.wait_until(world.clock() + HOUR)
    return world


def answered(world: World) -> set[str]:
    """The types of the challenges that the CA was told to look at."""
    return {each.answered for order in world.ca.opened for each in order.authorizations if each.answered}


NOT_SERVED: Callable[[], CertfleetError] = lambda: WebrootError("not served", reference="webroot-not-served")  # noqa: E731


@pytest.mark.parametrize("error", [NOT_SERVED, lambda: refusal("unauthorized", "404", 403)], ids=["ours", "the CA's"])
def test_the_next_attempt_is_by_the_zone(error: Callable[[], CertfleetError]) -> None:
    """It is stored by dns-01, and nothing is left, of the file neither."""
    world = failed(error())
    assert process(world).attempt().ending is Ending.STORED
    assert answered(world) == {"dns-01"}
    process(world).run()
    assert world.left == []


def test_not_unless_it_is_allowed() -> None:
    world = failed(NOT_SERVED())
    assert process(world, allowed=False).attempt().ending is Ending.STORED
    assert answered(world) == {"http-01"}


def test_not_where_the_zone_cannot_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name stays with its file, and the error that people hear of is about that."""
    world = failed(NOT_SERVED())

    def nowhere(name: str, row: Enrolment) -> tuple[str, str]:
        raise DnsError(f"{name} has no zone, for {row.name}")

    monkeypatch.setattr(world.zones["dns-01"], "place", nowhere)
    assert process(world).attempt().ending is Ending.STORED
    assert answered(world) == {"http-01"}


def test_the_file_has_its_turn_again() -> None:
    """If the zone fails too, the file is tried next."""
    world = failed(NOT_SERVED())
    second = process(world)
    second.calls.before(Call("zone.publish"), raising(refusal("unauthorized", "no TXT", 403)))
    assert second.attempt().ending is Ending.FAILED
    world.clock.wait_until(world.clock() + HOUR)
    assert world.row(NAME).failures == 2
    assert process(world).attempt().ending is Ending.STORED
    assert answered(world) == {"http-01"}


def test_other_failures_change_nothing() -> None:
    """A database or a CA that was away says nothing about files."""
    world = failed(refusal("serverInternal", "away", 500))
    assert process(world).attempt().ending is Ending.STORED
    assert answered(world) == {"http-01"}
