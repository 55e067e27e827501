"""An attempt works with a row as it was read. What it saves of it must not stand on a row that somebody has changed."""

import dataclasses

import pytest

from issuer.model.enrolment import AT_ONCE, Enrolment
from issuer.model.failure import Failure
from issuer.rules.change import as_changing
from tests.issuer.contracts.conftest import Stores
from tests.issuer.contracts.test_certificate_store import changing, issued
from tests.issuer.contracts.test_order_store import planned
from tests.issuer.store.opened import NAME, NOW, obtained


def stored(stores: Stores, due_at: int) -> Enrolment:
    """The row after one more certificate, which is due then."""
    [row] = stores.certificates.get([NAME])
    stores.certificates.store(planned(stores), obtained(row.csr, issued(), due_at=due_at), NOW)
    return read(stores)


def read(stores: Stores) -> Enrolment:
    [row] = stores.certificates.get([NAME])
    return row


def test_the_next_look_is_saved_for_the_row_that_was_looked_at(stores: Stores) -> None:
    """And the one after it; a row that is gone is no error."""
    row = stored(stores, NOW + 9)
    stores.certificates.plan_look(row, NOW + 100)
    looked_at = dataclasses.replace(row, due_at=NOW + 100)
    assert read(stores) == looked_at
    stores.certificates.plan_look(looked_at, NOW + 200)
    assert read(stores).due_at == NOW + 200
    stores.certificates.plan_look(dataclasses.replace(row, name="gone.test"), NOW + 100)


def test_a_failure_of_what_is_not_wanted_any_more_is_over(stores: Stores) -> None:
    """Not where the row has another certificate by now."""
    stored(stores, NOW + 9)
    stores.certificates.record_failure(NAME, Failure("no server"), NOW + 10, NOW)
    failing = read(stores)
    stores.certificates.plan_look(dataclasses.replace(failing, crt=b"another"), NOW + 100, over=True)
    assert read(stores) == failing
    stores.certificates.plan_look(failing, NOW + 100, over=True)
    assert read(stores) == dataclasses.replace(failing, failures=0, failure=None, due_at=NOW + 100)


@pytest.mark.parametrize("wish", ["", "by hand"])
def test_a_look_that_is_over_puts_off_no_wish(stores: Stores, wish: str) -> None:
    """Somebody asks for the certificate, or for a retry, while the look lasts."""
    row = stored(stores, NOW + 9)
    stores.certificates.request_reissue([NAME], wish)
    stores.certificates.plan_look(row, NOW + 100)
    assert (read(stores).due_at, read(stores).reissue_reason) == (None, wish)
    before = read(stores)
    stores.certificates.request_reissue([NAME], "another wish")
    stores.certificates.plan_look(before, NOW + 100)
    assert read(stores).due_at is None


def test_a_look_at_one_certificate_plans_none_at_the_next(stores: Stores) -> None:
    """Another issuer stored it meanwhile, due at the same moment."""
    row = stored(stores, NOW + 9)
    after = stored(stores, NOW + 9)
    stores.certificates.plan_look(row, NOW + 100)
    assert read(stores) == after


def test_a_look_at_a_change_plans_that_of_the_change(stores: Stores) -> None:
    """Unless somebody has asked for it meanwhile."""
    row = stored(stores, NOW + 9)
    changing(stores)
    [before] = stores.certificates.get([NAME])
    assert before.change is not None
    stores.certificates.plan_look(as_changing(before, before.change), NOW + 60)
    [waits] = stores.certificates.get([NAME])
    assert waits.change is not None
    assert (waits.due_at, waits.change.due_at) == (row.due_at, NOW + 60)
    stores.certificates.request_reissue([NAME], "")
    stores.certificates.plan_look(as_changing(waits, waits.change), NOW + 70)
    [asked] = stores.certificates.get([NAME])
    assert asked.change is not None
    assert asked.change.due_at == AT_ONCE


def test_the_window_of_one_certificate_is_not_saved_with_the_next(stores: Stores) -> None:
    """The next one would be renewed at once."""
    row = stored(stores, NOW + 9)
    drawn = dataclasses.replace(row, ari_at=NOW + 7, ari_window=(NOW, NOW + 9), ari_ask_at=NOW + 5)
    stores.certificates.save_renewal_info(drawn, "")
    assert read(stores) == drawn
    after = stored(stores, NOW + 9)
    stores.certificates.save_renewal_info(drawn, "")
    assert read(stores) == after
