"""Zones that lag, and a CA that validates and signs slowly: no attempt waits for ever, none asks without pause, and the
lease is kept while it waits."""

import dataclasses
import math
import time
from pathlib import Path

import pytest

from issuer.journey.attempt import Attempt
from issuer.model.acme import CaOrder
from issuer.model.asked import Log
from issuer.model.orders import OrderRecord, OrderState
from issuer.model.outcomes import Ended, Ending
from tests.issuer.fakes.calls import Call, Calls
from tests.issuer.fakes.clock import NOW
from tests.issuer.fakes.world import NAME, World
from tests.issuer.journey.scenes import first_by_dns

HOUR = 3600


def count(calls: Calls, method: str) -> int:
    return sum(call.method == method for call in calls.made)


@pytest.mark.parametrize("seconds", [0.0, 3.0, 90.0, 599.0])
def test_a_zone_that_lags(seconds: float) -> None:
    """The CA is told to look when every server shows the answer, and not before."""
    world = first_by_dns()
    world.zones["dns-01"].delay = seconds
    process = world.process()
    told: list[float] = []
    process.calls.before(Call("ca.answer"), lambda: told.append(world.clock()))
    assert process.attempt().ending is Ending.STORED
    [moment] = told
    assert NOW + seconds <= moment <= NOW + seconds + 5
    assert count(process.calls, "zone.unseen") <= 15 + seconds / 5
    assert world.left == []


def test_a_zone_that_never_shows_it() -> None:
    """The order ends when the zone's patience is over; the CA has not been told to look."""
    world = first_by_dns()
    world.zones["dns-01"].delay = math.inf
    process = world.process()
    ended = process.attempt()
    assert (ended.ending, ended.reference) == (Ending.FAILED, "dns-not-visible")
    assert 600 <= world.clock() - NOW <= 605
    assert count(process.calls, "ca.answer") == 0
    assert world.tables.states() == [OrderState.FAILED]
    assert world.ca.waiting == []
    assert world.left == []


def test_a_zone_that_never_shows_it_and_a_clock_that_was_ahead() -> None:
    """The deadline was saved by a clock of a month ahead: the order ends all the same, and people hear of it."""
    world = first_by_dns()
    world.zones["dns-01"].delay = math.inf
    world.clock.moment = NOW + 30 * 86400
    one = Attempt(world.row(), world.process("one").tools, stopping=lambda: False)
    while not isinstance(ended := one.proceed(), Ended):
        if world.tables.states() == [OrderState.PUBLISHED]:
            world.clock.moment = NOW
    assert (ended.ending, ended.reference) == (Ending.FAILED, "dns-not-visible")
    assert world.clock() < NOW + 605


@pytest.mark.parametrize("seconds", [1.0, 60.0, 1700.0])
def test_a_ca_that_validates_and_signs_slowly(seconds: float) -> None:
    """It is asked now and then, and the certificate is stored soon after it is there."""
    world = first_by_dns()
    world.ca.validation_seconds = world.ca.signing_seconds = seconds
    process = world.process()
    assert process.attempt().ending is Ending.STORED
    assert 2 * seconds <= world.clock() - NOW <= 2 * seconds + 15
    assert count(process.calls, "ca.order") <= 80 + seconds / 5
    assert world.left == []


def test_a_ca_that_says_when_to_ask_about_a_validation() -> None:
    """Its Retry-After is kept to (RFC 8555 §7.5.1)."""
    world = first_by_dns()
    world.ca.validation_seconds = 100.0
    seen = world.ca.order

    def order(url: str) -> CaOrder:
        return dataclasses.replace(seen(url), ask_again_at=world.clock() + 90)

    world.ca.order = order  # type: ignore[method-assign]
    process = world.process()
    assert process.attempt().ending is Ending.STORED
    assert count(process.calls, "ca.order") <= 6


def test_a_ca_that_does_not_get_on_with_validating() -> None:
    """After an hour the order is given up, in the CA's words; the authorizations are given back."""
    world = first_by_dns()
    world.ca.validation_seconds = math.inf
    process = world.process()
    ended = process.attempt()
    assert ended.ending is Ending.FAILED
    assert ended.failure is not None
    assert ended.failure.what == "the CA could not validate"
    assert HOUR <= world.clock() - NOW <= HOUR + 5
    assert count(process.calls, "ca.order") <= 30 + HOUR / 20  # ever more rarely
    assert world.tables.states() == [OrderState.FAILED]
    assert world.ca.waiting == []
    assert world.left == []


def test_a_ca_that_does_not_get_on_with_signing() -> None:
    """People hear of it after half an hour, and at each try of the schedule; what it has signed in the end is fetched,
    of the same order."""
    world = first_by_dns()
    world.ca.signing_seconds = 3 * HOUR
    assert world.process().attempt().ending is Ending.FAILED
    assert HOUR / 2 <= world.clock() - NOW <= HOUR / 2 + 301
    assert world.tables.states() == [OrderState.FINALIZING]
    assert world.published == set()
    endings = []
    while Ending.STORED not in endings:
        world.clock.wait_until(world.row().due_at or 0)
        endings.append(world.process().run()[NAME].ending)
    assert endings == [*[Ending.FAILED] * 3, Ending.STORED]
    assert len(world.ca.opened) == len(world.ca.certificates) == len(world.tables.versions) == 1
    assert world.row().failures == 0
    assert world.left == []


@pytest.mark.parametrize("who", ["zone", "validation", "signature"])
def test_the_lease_is_kept_while_it_waits(who: str) -> None:
    """Another issuer looks again and again for half an hour, and never finds the order free."""
    world = first_by_dns()
    world.zones["dns-01"].patience = HOUR
    if who == "zone":
        world.zones["dns-01"].delay = 1700.0
    elif who == "validation":
        world.ca.validation_seconds = 1700.0
    else:
        world.ca.signing_seconds = 1700.0
    process = world.process("one")
    looks: list[OrderRecord] = []

    def look() -> None:
        looks.extend(world.process("two").tools.orders.under_way(int(world.clock())))

    for nth in range(1, 500):
        process.calls.before(Call("zone.unseen", nth), look)
        process.calls.before(Call("ca.order", nth), look)
    assert process.attempt().ending is Ending.STORED
    assert looks == []


def test_the_words_of_the_ca_about_a_validation_are_kept() -> None:
    """It saw another answer than ours: its own words, and what to look at; the next order is a new one."""
    world = World()
    world.enrol()
    process = world.process()
    process.calls.before(Call("ca.answer"), world.zones["dns-01"].lose)
    ended = process.attempt()
    assert ended.failure is not None
    assert (ended.failure.what, ended.failure.why) == (
        "the CA could not validate",
        f"{NAME}: no right answer for {NAME}",
    )
    assert "from outside" in ended.failure.hint
    assert world.tables.states() == [OrderState.FAILED]
    assert world.left == []
    world.clock.wait_until(world.row().due_at or 0)
    assert world.process().run()[NAME].ending is Ending.STORED
    assert world.tables.states() == [OrderState.FAILED, OrderState.STORED]


def test_the_log_of_our_name_server_is_quoted() -> None:
    """Beside the CA's own words: who asked after the CA was told to look, and not who had asked before."""
    world = World()
    world.enrol()
    zone = world.zones["dns-01"]
    process = world.process()

    def question(who: str, ahead: float) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(world.clock() + ahead))
        return f"{moment} client @0x7f {who}#4 (a): query: _acme-challenge.{NAME} IN TXT - (192.0.2.53)\n"

    def answer() -> None:
        zone.lose()
        zone.log = Log(Path("/query.log"), (question("192.0.2.1", -5) + question("192.0.2.2", 1)).encode())

    process.calls.before(Call("ca.answer"), answer)
    failure = process.attempt().failure
    assert failure is not None
    asked = f"our name server was asked for {NAME} by 192.0.2.2 at "
    assert failure.why == f"{NAME}: no right answer for {NAME}"
    assert failure.asked.startswith(asked)
    assert "192.0.2.1 " not in failure.asked
    zone.log = Log(Path("/query.log"), b"")
    process = world.process()
    process.calls.before(Call("ca.answer"), zone.lose)
    world.clock.wait_until(world.row().due_at or 0)
    failure = process.run()[NAME].failure
    assert failure is not None
    assert "nobody asked our name server" in failure.asked
    assert "firewall" in failure.hint
