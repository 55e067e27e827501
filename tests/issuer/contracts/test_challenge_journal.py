"""What a ChallengeJournal promises."""

import dataclasses

import pytest

from issuer.model.acme import Challenge
from issuer.model.errors import BeingTakenBack
from issuer.store.orders import LEASE_SECONDS
from tests.issuer.contracts.conftest import OTHER, Stores
from tests.issuer.contracts.test_order_store import planned
from tests.issuer.store.opened import NAME, NOW


def entry(value: str, url: str = "https://ca.example.test/c/1") -> Challenge:
    return Challenge("dns-01", NAME, "https://ca.example.test/a/1", url, f"_acme-challenge.{NAME}", NAME, value)


def ended(stores: Stores, entry: Challenge) -> Challenge:
    """The journal's row of an order that has failed."""
    record = planned(stores, "before")
    [left] = stores.journal("mine").add(record.id, [entry], NOW)
    stores.orders("before").fail(record, "", NOW)
    return left


def test_the_journal_keeps_what_may_be_out(stores: Stores) -> None:
    """The same entries twice are one row each, new ones stand beside the old, and only what is forgotten goes."""
    journal, record = stores.journal("mine"), planned(stores)
    first = journal.add(record.id, [entry("one")], NOW)
    assert [(dataclasses.replace(each, id=0), each.id > 0) for each in first] == [(entry("one"), True)]
    assert journal.add(record.id, [entry("one")], NOW) == first
    both = journal.add(record.id, [entry("two")], NOW)
    assert [each.value for each in both] == ["one", "two"]
    assert stores.journal("other").of(record.id) == both
    assert journal.orphans() == []
    journal.forget(both[:1])
    assert [each.value for each in journal.of(record.id)] == ["two"]
    stores.orders("mine").fail(record, "", NOW)
    assert [each.value for each in journal.orphans()] == ["two"]
    journal.forget(journal.orphans())
    assert journal.orphans() == []


def test_what_is_published_again_is_taken_over_from_an_ended_order(stores: Stores) -> None:
    """The row of the same value in the same place goes, so that nobody takes it back; others stay."""
    journal = stores.journal("mine")
    same, other = ended(stores, entry("one")), ended(stores, entry("two"))
    elsewhere = ended(stores, dataclasses.replace(entry("one"), zone="other.test"))
    record = planned(stores)
    [fresh] = journal.add(record.id, [entry("one")], NOW)
    assert fresh.id > elsewhere.id
    assert journal.orphans() == [other, elsewhere]
    with journal.leased([same, other], NOW) as ours:
        assert ours == [other]


def test_nothing_is_published_while_it_is_taken_back(stores: Stores) -> None:
    """By anybody, as neither of two takes the same back; if the process that does so is killed, our next one goes on
    with it at once, and others when the lease is over."""
    journal, other = stores.journal("mine"), stores.journal("other")
    left = ended(stores, entry("one"))
    record = planned(stores)
    with journal.leased([left], NOW) as ours:
        assert ours == [left]
        for each in (journal, other):
            with each.leased([left], NOW) as theirs:
                assert theirs == []
        with pytest.raises(BeingTakenBack):
            journal.add(record.id, [entry("one")], NOW)
        assert journal.of(record.id) == []
    for successor, moment in ((stores.journal("mine"), NOW), (other, NOW + LEASE_SECONDS + 1)):
        with journal.leased([left], NOW), successor.leased([left], moment) as later:
            assert later == [left]
    assert [each.value for each in journal.add(record.id, [entry("one")], NOW)] == ["one"]
    assert journal.orphans() == []


def test_what_another_order_wants_is_not_taken_back(stores: Stores) -> None:
    """Two orders under way may have the same challenge; the one that ends forgets its row and leaves the value."""
    journal = stores.journal("mine")
    first, second = planned(stores), planned(stores, name=OTHER)
    left = journal.add(first.id, [entry("one"), entry("two")], NOW)
    kept = journal.add(second.id, [entry("one")], NOW)
    with journal.leased(left, NOW) as ours:
        assert ours == []  # its order is under way
    stores.orders("mine").fail(first, "", NOW)
    with journal.leased(left, NOW) as ours:
        assert [each.value for each in ours] == ["two"]
    assert [each.value for each in journal.of(first.id)] == ["two"]
    assert journal.of(second.id) == kept


def test_what_an_ended_order_left_is_free_after_the_block(stores: Stores) -> None:
    """Whatever ended the block; nothing is held for nothing."""
    left = ended(stores, entry("one"))
    with pytest.raises(KeyError), stores.journal("mine").leased([left], NOW):
        raise KeyError
    with stores.journal("other").leased([left], NOW) as ours:
        assert ours == [left]
    with stores.journal("other").leased([], NOW) as nothing:
        assert nothing == []


def test_what_its_holder_may_be_about_to_publish_is_not_taken_back(stores: Stores) -> None:
    """An order that another process ended still belongs to the one that works on it, until that one lets go."""
    record = planned(stores)
    left = stores.journal("mine").add(record.id, [entry("one")], NOW)
    late = NOW + LEASE_SECONDS + 1
    assert stores.orders("other").end_left([record], "", late)
    with stores.journal("other").leased(left, NOW) as theirs:
        assert theirs == []
    stores.orders("mine").release(record)
    with stores.journal("other").leased(left, NOW) as ours:
        assert ours == left
