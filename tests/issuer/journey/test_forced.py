"""`ts_expire` in the past beside a good certificate: so the operators of the classic system force a renewal."""

import pytest

from issuer.model.config import RenewalSettings
from issuer.model.orders import Cause
from issuer.model.outcomes import Ending
from issuer.model.tries import BY_NEXT_RUN
from issuer.rules.due import FORCED
from issuer.rules.forecast import forecast
from tests.issuer.fakes.ca import refusal
from tests.issuer.fakes.calls import Call, raising
from tests.issuer.fakes.clock import NOW
from tests.issuer.fakes.world import NAME, World


@pytest.fixture
def forced() -> World:
    """A certificate that is an hour old, is put off until its renewal, and is forced."""
    world = World()
    world.enrol()
    world.process().run()
    world.clock.wait_until(NOW + 3600)
    world.change(ts_expire=1)
    world.forget_what_was()
    return world


def test_it_is_renewed_once_and_says_why(forced: World) -> None:
    """The reason stands in the forecast and in the ending; the new certificate's end takes the place of the value."""
    assert forecast(forced.row(), NOW + 3600, RenewalSettings()).why == FORCED
    before = forced.row().crt
    ended = forced.process().run()[NAME]
    assert ended.ending is Ending.STORED
    assert FORCED in ended.line(BY_NEXT_RUN)
    assert forced.row().crt != before
    assert [row.record.cause for row in forced.tables.orders.values()] == [Cause.FORCED]
    assert forced.process().run() == {}
    assert len(forced.ca.opened) == 1


def test_its_failures_wait_for_their_moments(forced: World) -> None:
    """The wish does not make a CA that refuses be asked at every run."""
    process = forced.process()
    process.calls.before(Call("ca.open_order"), raising(refusal("rejectedIdentifier", "no", 403)))
    assert process.run()[NAME].ending is Ending.FAILED
    at = forced.row().due_at
    assert at is not None
    again = forced.process()
    assert NAME not in again.run()
    assert [call for call in again.calls.made if call.method.startswith("ca.")] == []
    forced.clock.wait_until(at)
    assert forced.process().run()[NAME].ending is Ending.STORED


def test_a_hold_of_the_ca_is_kept(forced: World) -> None:
    """The CA is not asked before its moment, and then it is."""
    process = forced.process()
    limited = refusal("rateLimited", "too many new orders", 429, retry_after=NOW + 9000)
    process.calls.before(Call("ca.open_order"), raising(limited))
    assert process.run()[NAME].ending is Ending.HELD
    again = forced.process()
    assert again.run()[NAME].ending is Ending.HELD
    assert [call for call in again.calls.made if call.method.startswith("ca.")] == []
    forced.clock.wait_until(NOW + 9000)
    assert forced.process().run()[NAME].ending is Ending.STORED
