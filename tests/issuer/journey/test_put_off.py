"""Somebody who writes to the database puts a certificate off: the issuer's own memory brings it back in time."""

from typing import Any

import pytest

from issuer.model.events import EventKind
from issuer.model.outcomes import Ending
from issuer.model.seal_faults import Fault
from tests.issuer.fakes.clock import NOW
from tests.issuer.fakes.world import NAME, World
from tests.issuer.journey.scenes import DAY

FAR = 9_999_999_999


@pytest.fixture
def world() -> World:
    """A certificate of 90 days whose CA tells no window; the issuer has seen it a day later."""
    made = World()
    made.ca.offers_ari = False
    made.enrol()
    made.process().run()
    made.clock.wait_until(NOW + DAY + 1)
    assert made.process().run() == {}
    made.forget_what_was()
    return made


@pytest.mark.parametrize("put_off", [FAR, NOW + 89 * DAY], ids=["for good", "until it has expired"])
def test_the_renewal_comes_all_the_same(world: World, put_off: int) -> None:
    """At its own moment, whatever the row says, and once."""
    world.change(due_at=put_off, ts_expire=FAR, failures=0, failure=None)
    world.clock.wait_until(NOW + 55 * DAY)
    assert world.process().run() == {}
    world.clock.wait_until(NOW + 61 * DAY)
    assert world.process().run()[NAME].ending is Ending.STORED
    assert world.process().run() == {}
    assert len(world.ca.opened) == 1


def test_a_row_that_passes_for_imported_is_told_before_it_ends(world: World) -> None:
    """Nobody renews it then, so people hear of it."""
    world.change(imported=True, due_at=FAR, ts_expire=FAR)
    world.clock.wait_until(NOW + 85 * DAY)
    assert world.process().run() == {}
    assert [event.kind for event in world.events] == [EventKind.ENDS_THIS_WEEK]


def test_what_nobody_enrolled_is_told_where_it_is_not_due(world: World) -> None:
    """A row that passes for imported is none of ours to renew; that it was not enrolled so is told, until that is put
    right. Then it is renewed, although its moment is still far ahead."""
    world.change(imported=True, due_at=FAR, ts_expire=FAR)
    world.seals.broken[NAME] = [Fault.IMPORTED]
    world.clock.wait_until(NOW + 61 * DAY)
    for _ in range(2):
        assert world.process().run()[NAME].ending is Ending.UNSEALED
    assert world.ca.opened == []
    world.change(imported=False)
    world.seals.broken.clear()
    assert world.process().run()[NAME].ending is Ending.STORED


def test_what_another_issuer_did_is_seen(world: World) -> None:
    """It renewed meanwhile: the first look finds nothing to do, and plans the next one."""
    world.clock.wait_until(NOW + 61 * DAY)
    assert world.process("two").run()[NAME].ending is Ending.STORED
    world.clock.wait_until(NOW + 63 * DAY)
    one = world.process("one")
    assert one.run() == {}
    assert one.tools.looks.come(NOW + 63 * DAY, 9) == []
    assert one.tools.looks.come(NOW + 125 * DAY, 9) == [NAME]


def test_a_removed_name_is_forgotten(world: World) -> None:
    """It would be asked for at every run."""
    del world.tables.certs[NAME]
    world.clock.wait_until(NOW + 61 * DAY)
    one = world.process("one")
    assert one.run() == {}
    assert one.tools.looks.come(NOW + 61 * DAY, 9) == []


@pytest.mark.parametrize("more", [{}, {"imported": True}, {"crt": b""}, {"ts_expire": FAR, "due_at": FAR}], ids=str)
def test_a_row_that_somebody_disabled_is_told_when_it_would_be_renewed(world: World, more: dict[str, Any]) -> None:
    """Once, and nothing is ordered; enabled again, it is renewed."""
    was = world.row()
    world.change(enabled=False, **more)
    world.clock.wait_until(NOW + 61 * DAY)
    for _ in range(2):
        assert world.process().run() == {}
    assert [event.kind for event in world.events] == [EventKind.DISABLED]
    assert world.ca.opened == []
    world.change(enabled=True, imported=False, crt=was.crt, due_at=None, ts_expire=was.ts_expire)
    assert world.process().run()[NAME].ending is Ending.STORED


def test_a_look_before_that_moment_tells_nothing(world: World) -> None:
    """An attempt is followed by a look the next day; the one at the renewal comes all the same."""
    world.process("two").tools.looks.plan(NAME, NOW + 2 * DAY)
    world.change(enabled=False, due_at=FAR)
    world.clock.wait_until(NOW + 2 * DAY)
    assert world.process("two").run() == {}
    assert (world.events, world.row().due_at) == ([], FAR)
    world.clock.wait_until(NOW + 61 * DAY)
    assert world.process("two").run() == {}
    assert [event.kind for event in world.events] == [EventKind.DISABLED]
