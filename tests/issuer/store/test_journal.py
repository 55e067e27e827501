"""The challenge journal: what may be out in the world, and who takes it back."""

from issuer.model.acme import Challenge
from issuer.model.orders import Cause, new_order
from issuer.store.database import Database
from issuer.store.journal import Journal
from issuer.store.orders import Orders, give_up
from tests.issuer.store.opened import CA, NAME, NOW


def test_what_a_revocation_meets_in_the_middle_is_taken_back_by_who_publishes_it(store: Database) -> None:
    """Nobody else sweeps before that one knows that its order has ended: it may be about to publish."""
    mine, journal = Orders(store, "mine"), Journal(store, "mine")
    record = mine.open(new_order(NAME, CA, NOW, Cause.RENEWAL), [])
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
