"""The challenge journal: what may be out in the world, and who takes it back."""

import dataclasses

import pytest

from issuer.model.acme import Challenge
from issuer.model.errors import BeingTakenBack
from issuer.model.orders import Cause
from issuer.store.database import Database
from issuer.store.journal import Journal
from issuer.store.orders import LEASE_SECONDS, Orders, give_up
from tests.issuer.store.opened import CA, NAME, NOW


def test_what_a_revocation_meets_in_the_middle_is_taken_back_by_who_publishes_it(store: Database) -> None:
    """Nobody else sweeps before that one knows that its order has ended: it may be about to publish."""
    mine, journal = Orders(store, "mine"), Journal(store, "mine")
    record = mine.open(NAME, CA, Cause.RENEWAL, NOW)
    assert record is not None
    left = journal.add(record.id, [entry("one")], NOW)
    store.write(lambda connection: give_up(connection, NAME, "revoked", NOW, leased=True))
    with journal.leased(left, NOW) as theirs:
        assert theirs == []
    mine.release(record)
    with journal.leased(left, NOW) as ours:
        assert ours == left


def entry(value: str, url: str = "https://ca.example.test/c/1") -> Challenge:
    return Challenge("dns-01", NAME, "https://ca.example.test/a/1", url, f"_acme-challenge.{NAME}", NAME, value)


def test_the_journal_keeps_what_may_be_out(store: Database) -> None:
    """The same entries twice are one row each, new ones stand beside the old, and only what is forgotten goes."""
    mine, journal = Orders(store, "mine"), Journal(store, "mine")
    record = mine.open(NAME, CA, Cause.RENEWAL, NOW)
    assert record is not None
    first = journal.add(record.id, [entry("one")], NOW)
    assert journal.add(record.id, [entry("one")], NOW) == first
    both = journal.add(record.id, [entry("two")], NOW)
    assert [each.value for each in both] == ["one", "two"]
    assert journal.orphans() == []
    journal.forget(both[:1])
    assert [each.value for each in journal.of(record.id)] == ["two"]
    mine.fail(record, "", NOW)
    assert [each.value for each in journal.orphans()] == ["two"]
    journal.forget(journal.orphans())
    assert journal.orphans() == []


def ended(store: Database, entry: Challenge) -> Challenge:
    """The journal's row of an order that has failed."""
    record = Orders(store, "before").open(NAME, CA, Cause.RENEWAL, NOW)
    assert record is not None
    [left] = Journal(store, "mine").add(record.id, [entry], NOW)
    Orders(store, "before").fail(record, "", NOW)
    return left


def test_what_is_published_again_is_taken_over_from_an_ended_order(store: Database) -> None:
    """The row of the same value in the same place goes, so that nobody takes it back; others stay."""
    journal = Journal(store, "mine")
    same, other = ended(store, entry("one")), ended(store, entry("two"))
    elsewhere = ended(store, dataclasses.replace(entry("one"), zone="other.test"))
    record = Orders(store, "mine").open(NAME, CA, Cause.RENEWAL, NOW)
    assert record is not None
    [fresh] = journal.add(record.id, [entry("one")], NOW)
    assert fresh.id > elsewhere.id
    assert journal.orphans() == [other, elsewhere]
    with journal.leased([same, other], NOW) as ours:
        assert ours == [other]


def test_nothing_is_published_while_it_is_taken_back(store: Database) -> None:
    """By anybody, as neither of two takes the same back; if who does so is killed, our next process goes on with it at
    once, and others when the lease is over."""
    journal = Journal(store, "mine")
    left = ended(store, entry("one"))
    record = Orders(store, "mine").open(NAME, CA, Cause.RENEWAL, NOW)
    assert record is not None
    other = Journal(store, "other")
    with journal.leased([left], NOW) as ours:
        assert ours == [left]
        for each in (journal, other):
            with each.leased([left], NOW) as theirs:
                assert theirs == []
        with pytest.raises(BeingTakenBack):
            journal.add(record.id, [entry("one")], NOW)
        assert journal.of(record.id) == []
    for successor, moment in ((Journal(store, "mine"), NOW), (other, NOW + LEASE_SECONDS + 1)):
        with journal.leased([left], NOW), successor.leased([left], moment) as later:
            assert later == [left]
    assert [each.value for each in journal.add(record.id, [entry("one")], NOW)] == ["one"]
    assert journal.orphans() == []


def test_what_another_order_wants_is_not_taken_back(store: Database) -> None:
    """Two orders under way may have the same challenge; the one that ends forgets its row and leaves the value."""
    journal, mine = Journal(store, "mine"), Orders(store, "mine")
    records = [mine.open(name, CA, Cause.RENEWAL, NOW) for name in (NAME, "other.example.test")]
    first, second = [record for record in records if record is not None]
    left = journal.add(first.id, [entry("one"), entry("two")], NOW)
    kept = journal.add(second.id, [entry("one")], NOW)
    with journal.leased(left, NOW) as ours:
        assert ours == []  # its order is under way
    mine.fail(first, "", NOW)
    with journal.leased(left, NOW) as ours:
        assert [each.value for each in ours] == ["two"]
    assert [each.value for each in journal.of(first.id)] == ["two"]
    assert journal.of(second.id) == kept
