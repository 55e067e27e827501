"""`give_up_after`: a certificate that expired long ago is told once and left, until a person asks for it."""

from dataclasses import replace

import pytest

from issuer.loops.run import Pass, Summary
from issuer.model.config import RenewalSettings, Settings
from issuer.model.events import EventKind
from issuer.model.outcomes import Ending
from issuer.rules.due import GIVEN_UP
from issuer.rules.forecast import forecast
from tests.issuer.fakes.ca import refusal
from tests.issuer.fakes.calls import Call, raising
from tests.issuer.fakes.world import NAME, Process, World

DAY = 86400
POLICY = RenewalSettings(give_up_after=30 * DAY)


@pytest.fixture
def expired() -> World:
    """A certificate whose renewal has failed for 29 days past its end."""
    world = World()
    world.enrol()
    world.process().run()
    world.clock.wait_until(world.row().ends + 29 * DAY)
    process = give_up(world.process())
    process.calls.before(Call("ca.open_order"), raising(refusal("rejectedIdentifier", "no", 403)))
    assert process.run()[NAME].ending is Ending.FAILED
    return world


def give_up(process: Process) -> Process:
    process.tools = replace(
        process.tools, settings=replace(Settings(), renewal=POLICY, acme=process.tools.settings.acme)
    )
    return process


def pass_over(world: World) -> tuple[Summary, list[str]]:
    """What a run makes of the row, and what it says on standard error."""
    said: list[str] = []
    one = Pass(give_up(world.process()).tools, lambda *_: None, lambda *lines: said.extend(lines))
    one.run([world.row()], stay=0)
    return one.summary, said


def test_it_is_left_and_told_once(expired: World) -> None:
    """No failure of the run any more, no attempt, and an event that its alarm keeps from a second mail."""
    summary, said = pass_over(expired)
    assert (summary.well, summary.endings[NAME].ending, len(said) > 0) == (False, Ending.FAILED, True)
    expired.clock.wait_until(expired.row().ends + 30 * DAY)
    orders = len(expired.ca.opened)
    for _ in range(3):
        summary, said = pass_over(expired)
        assert (summary.well, summary.endings[NAME].ending, said) == (True, Ending.NOT_DUE, [])
        expired.clock.wait_until(expired.clock() + DAY + 1)
    assert {event.kind for event in expired.events if event.kind is not EventKind.FAILED} == {EventKind.GIVEN_UP}
    assert len(expired.ca.opened) == orders
    assert forecast(expired.row(), int(expired.clock()), POLICY).why == GIVEN_UP


def test_a_person_has_it_tried(expired: World) -> None:
    expired.clock.wait_until(expired.row().ends + 99 * DAY)
    expired.change(reissue_reason="asked for by hand", due_at=None)
    assert give_up(expired.process()).run()[NAME].ending is Ending.STORED


def test_it_is_never_given_up_by_default(expired: World) -> None:
    expired.clock.wait_until(expired.row().ends + 9999 * DAY)
    assert expired.process().run()[NAME].ending is Ending.STORED
