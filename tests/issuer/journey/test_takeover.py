"""`import --takeover-at`: our CA takes over where nobody has brought a newer certificate in time."""

import dataclasses

import pytest

from issuer.model.config import RenewalSettings
from issuer.model.enrolment import Change
from issuer.model.outcomes import Ending
from issuer.rules.forecast import forecast
from tests.issuer.fakes.world import NAME, World
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority

DAY = 86400


@pytest.fixture
def bought() -> World:
    """An imported certificate with 90 days of life; a CSR waits for its last three."""
    world = World()
    world.enrol()
    world.process().run()
    ends = world.row().ends
    waits = Change(csr([NAME]), ends - 3 * DAY, takeover=3 * DAY)
    world.change(imported=True, csr=b"", change=waits, due_at=None, ts_expire=ends)
    world.forget_what_was()
    return world


def test_it_is_taken_over_in_time(bought: World) -> None:
    """Not a second before, at however many runs; then the row is one of ours."""
    moment, waits = bought.row().takeover_at, bought.row().change
    assert waits is not None
    assert moment == bought.row().ends - 3 * DAY
    while bought.clock() < moment - 1:
        assert bought.process().run() == {}
        bought.clock.wait_until(min(moment - 1, bought.clock() + 5 * DAY))
    assert bought.process().run() == {}
    assert "takes over" in forecast(bought.row(), int(bought.clock()), RenewalSettings()).why
    bought.clock.wait_until(moment)
    assert bought.process().run()[NAME].ending is Ending.STORED
    row = bought.row()
    assert (row.imported, row.change, row.csr) == (False, None, waits.csr)
    assert (row.takeover_at, bought.process().run()) == (None, {})


def test_a_newer_one_puts_it_off(bought: World) -> None:
    """Its end counts, not that of the one before."""
    first = bought.row().ends
    issued = Authority("Root").intermediate("CA").issue([NAME], days=90 + 365)
    change = bought.row().change
    assert change is not None
    bought.change(crt=issued.cert_pem, ca=issued.chain_pem, ts_expire=None)
    bought.change(change=dataclasses.replace(change, due_at=bought.row().ends - 3 * DAY))
    bought.clock.wait_until(first - DAY)
    assert bought.process().run() == {}
    assert bought.ca.opened == []
