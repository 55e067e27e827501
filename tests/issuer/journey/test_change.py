"""Another CSR is enrolled for a certificate that is served: the present one stays until the new one is there."""

import pytest

from common.certificate import parse_bundle, spki_sha256
from issuer.model.enrolment import AT_ONCE, Change, Validation, csr_digest
from issuer.model.errors import AcmeProblem
from issuer.model.leaf import Leaf, leaf_of
from issuer.model.orders import Cause, OrderState
from issuer.model.outcomes import Ending
from issuer.rules.csr import read_csr
from tests.issuer.fakes.ca import MemoryCa, refusal
from tests.issuer.fakes.calls import Call, Killed, raising
from tests.issuer.fakes.world import CA, NAME, World
from tests.issuer.journey.scenes import DAY
from tests.issuer.signing_requests import csr

ADDED = "added.example.test"
NEW = csr([NAME, ADDED], "ecdsa-p384")
BY_FILES = Validation(certbot=True, webroot_path="/var/www")


def served(*, zone: bool = True) -> World:
    """A world with a certificate for NAME, and a change that waits: another key and one name more, whose *zone* may be
    missing."""
    world = World()
    world.ca.offers_ari = False
    world.enrol()
    world.process().run()
    world.forget_what_was()
    world.change(change=Change(NEW, AT_ONCE))
    if not zone:
        world.zones["dns-01"].missing.add(ADDED)
    return world


def present(world: World) -> Leaf:
    leaf = leaf_of(world.row().crt)
    assert isinstance(leaf, Leaf)
    return leaf


def days(world: World, count: float, *, step: float = 1) -> None:
    """A run every *step* days."""
    end = world.clock() + count * DAY
    while world.clock() < end:
        world.process().run()
        world.clock.wait_until(world.clock() + step * DAY)


def test_the_new_one_takes_the_place_of_the_present_one_when_it_is_stored() -> None:
    """CSR and certificate change together, the order says why it was opened, and nothing waits any more."""
    world = served()
    before = present(world)
    assert {ended.ending for ended in world.process().run().values()} == {Ending.STORED}
    after = world.row()
    assert (after.csr, after.change) == (NEW, None)
    assert present(world).names == {NAME, ADDED}
    assert present(world).spki_sha256 == read_csr(NEW).spki_sha256 != before.spki_sha256
    [order] = world.tables.orders.values()
    assert (order.record.cause, order.record.replaces) == (Cause.CHANGE, "")
    assert world.tables.old_pairs[NAME][0] != after.crt
    assert world.process().run() == {}
    assert world.left == []


def test_the_present_one_is_renewed_while_the_zone_of_a_new_name_is_missing() -> None:
    """At its own moment, for its own CSR; the change is tried once a day, and waits on."""
    world = served(zone=False)
    row = world.row()
    days(world, 89)
    after = world.row()
    assert after.csr == row.csr
    assert (after.ts_expire or 0) > (row.ts_expire or 0)
    assert after.failures == 0
    assert after.failure is None
    assert after.change is not None
    assert 80 < after.change.failures < 95
    assert [order.record.cause for order in world.tables.orders.values()] == [Cause.RENEWAL]


def test_its_ways_count_for_itself_until_it_is_stored() -> None:
    """A way that does not work stops the change alone; with the new certificate it becomes the way of the row."""
    world = served()
    world.change(change=Change(NEW, AT_ONCE, validation=BY_FILES))
    world.zones["http-01"].missing.add(NAME)
    row = world.row()
    days(world, 62)
    after = world.row()
    assert (after.csr, after.validation, after.failures) == (row.csr, row.validation, 0)
    assert (after.ts_expire or 0) > (row.ts_expire or 0)
    assert after.change is not None
    assert after.change.failures > 50
    world.zones["http-01"].missing.clear()
    world.zones["dns-01"].missing.add(NAME)
    days(world, 2)
    assert present(world).names == {NAME, ADDED}
    assert (world.row().validation, world.row().change) == (BY_FILES, None)


def test_it_is_stored_as_soon_as_the_zone_is_there() -> None:
    """Also after a renewal of the present one."""
    world = served(zone=False)
    days(world, 70)
    world.zones["dns-01"].missing.clear()
    days(world, 2)
    assert present(world).names == {NAME, ADDED}
    assert world.row().change is None


def test_a_life_of_a_day_is_renewed_in_time_while_the_change_fails() -> None:
    """A change that waits a day for its next attempt does not put off the renewal."""
    world = World()
    world.authorities[CA] = MemoryCa(CA, world.clock, world.zones, days=1)
    world.ca.offers_ari = False
    world.enrol()
    world.process().run()
    world.change(change=Change(NEW, AT_ONCE))
    world.zones["dns-01"].missing.add(ADDED)
    for _ in range(10 * 24):
        world.process().run()
        world.clock.wait_until(world.clock() + 3600)
        assert (world.row().ts_expire or 0) > world.clock()


def test_neither_starves_where_both_fail() -> None:
    """Each at its own moments, with its own count."""
    world = served(zone=False)
    world.zones["dns-01"].missing.add(NAME)
    days(world, 80, step=0.5)
    row = world.row()
    assert row.change is not None
    assert row.failures > 15
    assert row.change.failures > 75


def test_a_limit_that_the_change_meets_does_not_hold_up_the_renewal() -> None:
    """Nor is the change asked before its moment."""
    world = served()
    world.change(due_at=int(world.clock()), ts_expire=int(world.clock()) + 100)
    world.clock.wait_until(world.clock() + 70 * DAY)
    process = world.process()
    problem = refusal(
        "rateLimited", "too many failed authorizations for this name", 429, retry_after=world.clock() + 7200
    )
    process.calls.before(Call("ca.open_order"), raising(problem))
    held = process.attempt()
    assert held.ending is Ending.HELD
    assert held.look_again_at <= world.clock()
    assert world.process().attempt().ending is Ending.STORED
    assert present(world).names == {NAME}
    assert world.process().run() == {}
    world.clock.wait_until(world.clock() + 7200)
    world.process().run()
    assert present(world).names == {NAME, ADDED}


def test_an_order_of_the_present_one_goes_on_first() -> None:
    """It was under way when the change came: it is finished with its own CSR, then the change is ordered."""
    world = served()
    change = world.row().change
    world.change(change=None)
    world.clock.wait_until(world.clock() + 70 * DAY)
    process = world.process()
    process.calls.before(Call("ca.finalize"), process.calls.kill)
    with pytest.raises(Killed):
        process.run()
    world.change(change=change)
    world.process().run()
    assert present(world).names == {NAME}
    world.process().run()
    assert present(world).names == {NAME, ADDED}
    assert world.tables.states() == [OrderState.STORED, OrderState.STORED]


def test_the_later_change_wins_over_an_order_of_the_earlier_one() -> None:
    """What was published for the earlier one is taken back, and nothing of it is stored."""
    world = served()
    process = world.process()
    process.calls.before(Call("zone.unseen"), raising(AcmeProblem("no answer")))
    process.run()
    assert world.published
    later = csr([NAME, "later.example.test"])
    world.change(change=Change(later, AT_ONCE))
    world.process().run()
    world.process().run()
    assert present(world).names == {NAME, "later.example.test"}
    assert world.tables.states() == [OrderState.FAILED, OrderState.STORED]
    assert world.left == []


def test_a_change_that_is_replaced_while_the_ca_signs() -> None:
    """Its certificate is set aside; the row keeps CSR and certificate, and the later change is issued next."""
    world = served()
    before, later = world.row(), csr([NAME, "later.example.test"])
    process = world.process()
    process.calls.before(Call("ca.certificate"), lambda: world.change(change=Change(later, AT_ONCE)))
    assert process.attempt().ending is Ending.NOT_DUE
    assert (world.row().csr, world.row().crt) == (before.csr, before.crt)
    world.process().run()
    assert present(world).names == {NAME, "later.example.test"}


def test_a_wish_is_for_the_change_first() -> None:
    """Also where it has failed before: somebody may have mended it."""
    world = served(zone=False)
    days(world, 3)
    world.zones["dns-01"].missing.clear()
    process = world.process()
    process.tools.certificates.request_reissue([NAME], "by hand")
    assert process.attempt().ending is Ending.STORED
    assert present(world).names == {NAME, ADDED}


def test_an_imported_certificate_stays_until_the_first_one_by_acme() -> None:
    """From then on ACME renews it."""
    world = served()
    world.change(imported=True, csr=b"")
    world.process().run()
    assert present(world).names == {NAME, ADDED}
    assert not world.row().imported


def test_a_disabled_row_waits() -> None:
    """Nothing is ordered for its change either."""
    world = served()
    world.change(enabled=False)
    assert world.process().run() == {}
    assert world.process().attempt().ending is Ending.NOT_DUE
    assert world.tables.orders == {}


def test_a_compromised_key_is_not_renewed_but_replaced() -> None:
    """The change with another key is the remedy."""
    world = served()
    world.change(compromised=frozenset([present(world).spki_sha256]), due_at=0)
    world.process().run()
    assert spki_sha256(parse_bundle(world.row().crt).leaf.public_key()) == read_csr(NEW).spki_sha256


def test_an_order_names_its_csr() -> None:
    """So that the next process goes on with it for the right one."""
    world = served()
    process = world.process()
    process.calls.before(Call("zone.unseen"), raising(AcmeProblem("no answer")))
    process.run()
    [order] = world.tables.orders.values()
    assert order.record.csr_sha256 == csr_digest(NEW)
    assert world.row().ordered == csr_digest(NEW)
