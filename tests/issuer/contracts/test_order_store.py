"""What an OrderStore and OrderCounts promise."""

import dataclasses

import pytest

from issuer.model.errors import GivenUp, LeaseLost
from issuer.model.limits import Limit
from issuer.model.moments import CLOCKS_APART
from issuer.model.orders import Cause, OrderRecord, OrderState, new_order
from issuer.store.orders import LEASE_SECONDS
from tests.issuer.contracts.conftest import OTHER, Stores
from tests.issuer.store.opened import CA, NAME, NOW, side_by_side

OVER = NOW + LEASE_SECONDS
LIMIT = Limit(10, 3600)


def planned(stores: Stores, owner: str = "mine", name: str = NAME, *, cause: Cause = Cause.RENEWAL) -> OrderRecord:
    record = stores.orders(owner).open(new_order(name, CA, NOW, cause), [name])
    assert record is not None
    return record


def ordered(record: OrderRecord) -> OrderRecord:
    return dataclasses.replace(record, state=OrderState.ORDERED, url=f"{CA}/order/{record.id}", deadline=NOW + 5)


def test_one_order_for_a_certificate(stores: Stores) -> None:
    """Of eight issuers that open an order for one name at the same moment exactly one gets it."""
    issuers = [stores.orders(f"issuer{number}") for number in range(8)]
    records = side_by_side(
        *(lambda each=each: each.open(new_order(NAME, CA, NOW, Cause.RENEWAL), []) for each in issuers)
    )
    [won] = [record for record in records if record is not None]
    assert (won.name, won.state, won.directory, won.created_at) == (NAME, OrderState.PLANNED, CA, NOW)
    assert planned(stores, name=OTHER).id != won.id


def test_our_own_order_is_returned_again(stores: Stores) -> None:
    """The answer to our own INSERT may have been lost on its way; but not once the CA knows of it."""
    record = planned(stores)
    assert stores.orders("mine").open(new_order(NAME, CA, NOW, Cause.RENEWAL), []) == record
    stores.orders("mine").save(record, ordered(record), NOW)
    assert stores.orders("mine").open(new_order(NAME, CA, NOW, Cause.RENEWAL), []) is None


def test_an_order_of_another_is_not_taken_by_opening_one(stores: Stores) -> None:
    """Not even where nobody holds it just now: claim takes it."""
    record = planned(stores, "theirs")
    stores.orders("theirs").release(record)
    assert stores.orders("mine").open(new_order(NAME, CA, NOW, Cause.RENEWAL), []) is None
    assert stores.orders("mine").claim(NAME, NOW) == record


def test_a_lease_of_another_is_respected_until_it_ends(stores: Stores) -> None:
    """Afterwards one of many takes the order over, and the holder loses it, whatever it does then."""
    mine, other = stores.orders("mine"), stores.orders("other")
    record = planned(stores)
    assert other.claim(NAME, NOW) is None
    assert other.under_way(NOW) == []
    assert mine.claim(NAME, NOW) == record  # our own after a crash
    assert other.claim(NAME, OVER - 1) is None
    assert other.under_way(OVER) == [record]
    issuers = [stores.orders(f"issuer{number}") for number in range(4)]
    taken = side_by_side(*(lambda each=each: each.claim(NAME, OVER) for each in issuers))
    assert sum(each is not None for each in taken) == 1
    with pytest.raises(LeaseLost):
        mine.save(record, ordered(record), OVER)
    with pytest.raises(LeaseLost):
        mine.fail(record, "reason", OVER)
    assert mine.end_left([record], "reason", OVER) == []
    mine.release(record)
    mine.drop(record)
    mine.let_go_left()
    assert sum(each.claim(NAME, OVER + 1) is not None for each in issuers) == 1


def test_a_lease_of_a_clock_that_was_years_ahead(stores: Stores) -> None:
    """Its holder is dead, or has the right time by now; one that is minutes ahead is respected."""
    other = stores.orders("other")
    record = other.open(new_order(NAME, CA, NOW + LEASE_SECONDS, Cause.RENEWAL), [])
    assert record is not None
    assert stores.orders("mine").claim(NAME, NOW) is None
    assert other.save(record, record, NOW + 4 * 365 * 86400) == record
    assert stores.orders("mine").claim(NAME, NOW) == record


def test_a_step_is_saved_and_extends_the_lease(stores: Stores) -> None:
    """What is saved is what the next process reads, and the lease runs from the last step."""
    mine, other = stores.orders("mine"), stores.orders("other")
    record = planned(stores)
    assert mine.save(record, ordered(record), NOW + 500) == ordered(record)
    assert other.claim(NAME, OVER) is None
    mine.release(record)
    assert other.claim(NAME, NOW + 501) == ordered(record)


def test_a_move_that_the_table_does_not_list_is_not_saved(stores: Stores) -> None:
    """Skipping a state is a fault of ours and leaves the row as it is."""
    record = planned(stores)
    with pytest.raises(RuntimeError, match="from PLANNED to VALIDATED"):
        stores.orders("mine").save(record, dataclasses.replace(record, state=OrderState.VALIDATED), NOW)
    assert stores.orders("mine").claim(NAME, NOW) == record


def test_an_order_that_failed_frees_its_certificate(stores: Stores) -> None:
    """It is under way no more, and the next one is another."""
    record = planned(stores)
    assert stores.orders("mine").fail(record, "the reason", NOW).ended
    assert stores.orders("mine").claim(NAME, NOW) is None
    assert planned(stores).id != record.id


def test_an_order_that_somebody_else_ended_is_given_up(stores: Stores) -> None:
    """Its holder hears why, at whatever it does next; and only an order that nobody holds is ended so."""
    record = planned(stores)
    assert stores.orders("other").end_left([record], "its row was deleted", NOW) == []
    assert stores.orders("other").end_left([record], "its row was deleted", OVER) == [record]
    assert stores.orders("other").end_left([record], "its row was deleted", OVER) == []
    with pytest.raises(GivenUp, match="meanwhile: its row was deleted"):
        stores.orders("mine").save(record, ordered(record), OVER)
    with pytest.raises(GivenUp, match="meanwhile: its row was deleted"):
        stores.orders("mine").fail(record, "", OVER)


def test_an_order_that_is_dropped_never_was(stores: Stores) -> None:
    """It counts for nothing, and its certificate is free."""
    stores.orders("mine").drop(planned(stores))
    assert stores.counts.orders(CA, LIMIT, NOW, besides=0) == []
    assert stores.orders("mine").claim(NAME, NOW) is None


def test_a_new_process_frees_what_its_predecessor_held(stores: Stores) -> None:
    """Of its own name, and of no other."""
    planned(stores, "mine")
    planned(stores, "theirs", OTHER)
    stores.orders("mine").let_go_left()
    assert [record.name for record in stores.orders("third").under_way(NOW)] == [NAME]


@pytest.mark.parametrize(
    "planted",
    [
        {"url": "https://thief.example/order"},
        {"directory": "https://thief.example/dir"},
        {"csr_sha256": "0" * 64},
        {"replaces": "another"},
        {"state": "FINALIZING"},
        {"state": "STORED"},
        {"created_at": NOW + 86400},
    ],
    ids=lambda planted: " ".join(planted.values() if "state" in planted else planted),
)
def test_what_another_program_wrote_is_not_sealed(stores: Stores, planted: dict[str, object]) -> None:
    """Whatever it changed of an order that an issuer wrote. It can be ended, from any state."""
    mine, record = stores.orders("mine"), planned(stores)
    mine.save(record, ordered(record), NOW)
    stores.plant(**planted)
    assert [each.sealed for each in mine.under_way(NOW)] == [False]
    found = stores.orders("other").claim(NAME, NOW)
    assert found is not None
    assert not found.sealed
    stores.orders("other").fail(found, "it is not ours", NOW)
    assert stores.orders("other").claim(NAME, NOW) is None
    assert planned(stores).id != record.id


def test_a_lease_on_what_no_issuer_wrote_counts_for_nothing(stores: Stores) -> None:
    """Whoever writes the order writes its lease."""
    mine, record = stores.orders("mine"), planned(stores, "theirs")
    assert mine.withheld(NOW) == []
    stores.plant(url="https://thief.example/order", lease_owner="thief", lease_until=OVER)
    [found] = mine.withheld(NOW)
    assert (found.name, found.sealed) == (NAME, False)
    assert mine.under_way(NOW) == []
    assert mine.claim(NAME, NOW) is None
    assert mine.end_left([found], "it is not ours", NOW) == [found]
    assert mine.withheld(NOW) == []
    assert planned(stores).id != record.id


def test_an_order_in_the_hands_of_another_process(stores: Stores) -> None:
    """It is seen as long as the other one has the lease."""
    mine, other = stores.orders("mine"), stores.orders("other")
    assert mine.elsewhere(NAME, NOW) is None
    record = planned(stores, "other")
    assert mine.elsewhere(NAME, NOW) == record
    assert other.elsewhere(NAME, NOW) is None
    assert mine.elsewhere(NAME, NOW + 601) is None
    other.release(record)
    assert mine.elsewhere(NAME, NOW) is None


def test_a_lease_does_not_last_for_ever(stores: Stores) -> None:
    """However often it is renewed. No issuer works on one order for a day."""
    mine, other, later = stores.orders("mine"), stores.orders("other"), NOW + 86400
    record = planned(stores, "other")
    other.save(record, record, later - 1)
    assert mine.withheld(later - 1) == []
    assert mine.end_left([record], "", later - 1) == []
    assert mine.withheld(later) == [record]
    assert mine.end_left([record], "it takes too long", later) == [record]
    with pytest.raises(GivenUp, match="it takes too long"):
        other.save(record, record, later)


def test_our_own_lease_keeps_no_order_from_us(stores: Stores) -> None:
    """An order that the CA does not finish is gone on with for days: no sweep beside its next try ends it. One that no
    issuer wrote has no lease of ours, whatever it says."""
    mine, later = stores.orders("mine"), NOW + 3 * 86400
    record = planned(stores, "mine")
    assert mine.claim(NAME, later) == record
    assert mine.withheld(later) == []
    assert mine.end_left([record], "it takes too long", later) == []
    assert mine.save(record, record, later) == record
    stores.plant(url="https://thief.example/order", lease_owner="mine", lease_until=later + 60)
    [found] = mine.withheld(later)
    assert not found.sealed
    assert mine.end_left([found], "it is not ours", later) == [found]


def test_what_is_under_way_is_listed_by_name(stores: Stores) -> None:
    """Until it has ended."""
    records = [planned(stores, "mine", name) for name in (NAME, OTHER)]
    for record in records:
        stores.orders("mine").release(record)
    assert stores.orders("other").under_way(NOW) == sorted(records, key=lambda record: record.name)
    stores.orders("other").end_left([records[0]], "", NOW)
    assert stores.orders("other").under_way(NOW) == records[1:]


def test_what_counts_for_a_limit_on_orders(stores: Stores) -> None:
    """The newest that the CA knows of or is about to, in the span, of that CA; not one that failed before it asked,
    nor, unless the limit says so, one that replaces a certificate in its window."""
    record = planned(stores)
    assert stores.counts.orders(CA, LIMIT, NOW, besides=0) == [NOW]
    assert stores.counts.orders(CA, LIMIT, NOW, besides=record.id) == []
    assert stores.counts.orders("https://elsewhere.test", LIMIT, NOW, besides=0) == []
    assert stores.counts.orders(CA, LIMIT, NOW + 3600, besides=0) == []
    assert stores.counts.orders(CA, LIMIT, NOW - CLOCKS_APART - 1, besides=0) == []
    stores.orders("mine").fail(record, "", NOW)
    assert stores.counts.orders(CA, LIMIT, NOW, besides=0) == []
    second = planned(stores)
    stores.orders("mine").fail(stores.orders("mine").save(second, ordered(second), NOW), "", NOW)
    assert stores.counts.orders(CA, LIMIT, NOW, besides=0) == [NOW]
    suggested = stores.orders("mine").open(new_order(NAME, CA, NOW + 1, Cause.SUGGESTED, replaces="replaced"), [NAME])
    assert suggested is not None
    assert stores.counts.orders(CA, LIMIT, NOW, besides=0) == [NOW]
    assert stores.counts.orders(CA, dataclasses.replace(LIMIT, in_window=True), NOW, besides=0) == [NOW + 1, NOW]
    assert stores.orders("mine").open(new_order(OTHER, CA, NOW + 2, Cause.SUGGESTED), [OTHER]) is not None
    assert stores.counts.orders(CA, LIMIT, NOW, besides=0) == [NOW + 2, NOW]
    assert stores.counts.orders(CA, Limit(1, 3600), NOW, besides=0) == [NOW + 2]


def test_what_counts_for_a_limit_on_certificates(stores: Stores) -> None:
    """Those for just these names, or with one in a domain: stored ones by their moment, and how many may follow."""

    def counted(names: list[str], domain: str = "", besides: int = 0) -> tuple[list[int], int]:
        return stores.counts.certificates(CA, LIMIT, NOW, besides=besides, names=names, domain=domain)

    record = stores.orders("mine").open(new_order(NAME, CA, NOW, Cause.RENEWAL), [OTHER, NAME])
    assert record is not None
    assert counted([NAME, OTHER]) == ([], 1)
    assert counted([NAME, OTHER], besides=record.id) == ([], 0)
    assert counted([NAME]) == ([], 0)
    for domain, count in (("example.test", 1), (NAME, 1), ("ample.test", 0), ("elsewhere.test", 0)):
        assert counted([], domain) == ([], count)
    stores.orders("mine").fail(record, "", NOW)
    assert counted([NAME, OTHER]) == ([], 0)


def test_a_renewal_in_its_window_counts_for_its_names_and_for_no_domain(stores: Stores) -> None:
    """Unless the limit says so: else renewals would leave no room for new names under the domain. One that names
    nothing as replaced is like any other."""
    inside = dataclasses.replace(LIMIT, in_window=True)

    def counted(limit: Limit, *names: str, domain: str = "") -> int:
        return stores.counts.certificates(CA, limit, NOW, besides=0, names=names, domain=domain)[1]

    assert stores.orders("mine").open(new_order(NAME, CA, NOW, Cause.SUGGESTED, replaces="replaced"), [NAME])
    assert [counted(limit, domain="example.test") for limit in (LIMIT, inside)] == [0, 1]
    assert [counted(limit, NAME) for limit in (LIMIT, inside)] == [1, 1]
    assert stores.orders("mine").open(new_order(OTHER, CA, NOW, Cause.INCIDENT), [OTHER])
    assert [counted(limit, domain="example.test") for limit in (LIMIT, inside)] == [1, 2]
