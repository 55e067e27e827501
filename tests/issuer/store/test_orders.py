"""Orders and their leases: the same promises on SQLite and on database servers."""

import contextlib
from pathlib import Path

import pytest
import sqlalchemy as sa

from common.certificate import parse_bundle
from issuer.model.errors import GivenUp, Overtaken
from issuer.model.failure import Failure
from issuer.model.limits import Limit
from issuer.model.orders import Cause, new_order
from issuer.model.reasons import KEY_COMPROMISE
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.due_queries import DueQueries
from issuer.store.history import History
from issuer.store.holds import Holds
from issuer.store.orders import LEASE_SECONDS, Orders
from tests.issuer.signing_requests import csr
from tests.issuer.store.opened import CA, NAME, NOW, obtained, seals_in
from tests.servers.authority import Authority


def test_a_lease_of_a_clock_that_was_years_ahead(store: Database, tmp_path: Path) -> None:
    """Its holder is dead, or has the right time by now; one that is minutes ahead is respected."""
    seals = seals_in(tmp_path)
    mine, other = Orders(store, "mine", seals), Orders(store, "other", seals)
    record = other.open(new_order(NAME, CA, NOW + LEASE_SECONDS, Cause.RENEWAL), [])
    assert record is not None
    assert mine.claim(NAME, NOW) is None
    assert other.save(record, record, NOW + 4 * 365 * 86400) == record
    assert [each.name for each in mine.under_way(NOW)] == [NAME]
    assert [mark.name for mark in DueQueries(store, "mine").left_over(NOW)] == [NAME]
    assert mine.claim(NAME, NOW) == record


def test_a_hold_of_a_clock_that_was_years_ahead(store: Database) -> None:
    """No CA's word holds anything up for longer than a day, so it counts no more; neither does an order of then."""
    holds = Holds(store)
    holds.add("account", "*", NOW + 4 * 365 * 86400, Failure("limited"), NOW)
    assert holds.until("account", NAME, NOW) is None
    assert Holds(store).all(NOW) == []
    holds.add("account", NAME, NOW + 86400, Failure("limited"), NOW)
    assert holds.until("account", NAME, NOW) == (NOW + 86400, Failure("limited"))
    assert Limit(1, 3600).free_at([NOW + 4 * 365 * 86400], NOW) == NOW


@pytest.mark.parametrize(
    "changes",
    [
        "ts_expire = 1, due_at = 1930000000",
        "ts_expire = 1800086400, due_at = 1930000000",
        "ts_expire = 1810000000, due_at = 1930000000, count_fail_update = 1, last_error = 'BADTIME'",
    ],
)
def test_moments_of_a_clock_that_was_years_ahead(store: Database, changes: str) -> None:
    """A row that is put off for years is looked at by `run` and by the daemon all the same."""
    store.write(lambda connection: connection.execute(sa.text(f"UPDATE certs SET enable = 'Y', {changes}")))  # noqa: S608
    certificates = Certificates(store)
    assert {row.name for row in certificates.due(NOW) + certificates.failing(NOW)} == {NAME}
    assert [mark.name for mark in DueQueries(store, "mine").due(NOW, 10)] == [NAME]


def test_a_failed_order_frees_its_certificate(store: Database) -> None:
    """After FAILED the same name may have a new order; the old row keeps its reason."""
    mine = Orders(store, "mine")
    record = mine.open(new_order(NAME, CA, NOW, Cause.RENEWAL), [])
    assert record is not None
    assert mine.fail(record, "the reason", NOW).ended
    second = mine.open(new_order(NAME, CA, NOW + 1, Cause.RENEWAL), [])
    assert second is not None
    assert second.id != record.id
    rows = store.read(lambda connection: connection.execute(sa.text("SELECT state, error FROM orders ORDER BY id")))
    assert [tuple(row) for row in rows] == [("FAILED", "the reason"), ("PLANNED", None)]


def test_only_the_csr_that_is_enrolled_gets_a_certificate(store: Database) -> None:
    """A certificate for another CSR is kept with the versions and leaves the row alone; one for this CSR is placed,
    also where an old script has left text in the column."""
    mine, certificates, (row,) = Orders(store, "mine"), Certificates(store), Certificates(store).all()
    issued = Authority("Root").intermediate("CA").issue([NAME])
    bundle = parse_bundle(issued.fullchain_pem)
    for given in (csr([NAME]), row.csr):
        record = mine.open(new_order(NAME, CA, NOW, Cause.RENEWAL), [])
        assert record is not None
        expected = contextlib.nullcontext() if given == row.csr else pytest.raises(Overtaken)
        with expected:
            certificates.store(record, obtained(given, bundle), NOW)
        assert [bool(each.crt) for each in certificates.all()] == [given == row.csr]
        store.write(lambda connection: connection.execute(sa.text("UPDATE certs SET csr = CAST(csr AS CHAR)")))
    rows = store.read(lambda connection: connection.execute(sa.text("SELECT event FROM events ORDER BY id")).all())
    assert [event for (event,) in rows] == ["enrolled", "set aside", "stored"]
    assert store.read(lambda connection: connection.scalar(sa.text("SELECT COUNT(*) FROM versions"))) == 2


def test_a_compromised_key_gets_no_certificate_from_an_order_under_way(store: Database) -> None:
    """The revocation disables the row, drops what was wished for, and ends the order, whoever works on it."""
    mine, certificates = Orders(store, "mine"), Certificates(store)
    certificates.set_enabled([NAME], True, NOW)
    certificates.request_reissue([NAME], "by hand")
    record = mine.open(new_order(NAME, CA, NOW, Cause.RENEWAL), [])
    assert record is not None
    bundle = parse_bundle(Authority("Root").intermediate("CA").issue([NAME]).fullchain_pem)
    # whose key nobody can tell, so it may be that one
    store.write(lambda connection: connection.execute(sa.text("UPDATE certs SET csr = 'damaged'")))
    assert History(store).mark_revoked(NAME, bundle, CA, KEY_COMPROMISE, NOW)
    with pytest.raises(GivenUp, match="compromised"):
        mine.save(record, record, NOW)
    with pytest.raises(GivenUp, match="compromised"):
        certificates.store(record, obtained(next(certificates.all()).csr, bundle), NOW)
    (row,) = certificates.all()
    assert (row.enabled, row.reissue_reason, row.crt) == (False, "", b"")
    assert mine.claim(NAME, NOW) is None


def test_what_comes_too_late_is_not_called_compromised(store: Database) -> None:
    """The order of a removed row was given up for another reason: nobody is told to revoke what came of it."""
    mine, certificates = Orders(store, "mine"), Certificates(store)
    record = mine.open(new_order(NAME, CA, NOW, Cause.RENEWAL), [])
    assert record is not None
    bundle = parse_bundle(Authority("Root").intermediate("CA").issue([NAME]).fullchain_pem)
    certificates.remove(NAME, NOW + LEASE_SECONDS + 1)
    with pytest.raises(GivenUp, match="removed") as caught:
        certificates.store(record, obtained(b"", bundle), NOW)
    assert "revoke" not in caught.value.hint
