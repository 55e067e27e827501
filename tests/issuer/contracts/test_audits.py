"""What an AuditStore promises."""

from issuer.model.audit import Audited
from issuer.rules.audit import AUDIT_EVERY
from tests.issuer.contracts.conftest import OTHER, Stores
from tests.issuer.store.opened import NAME, NOW

CRT = b"-----BEGIN CERTIFICATE-----"


def due(stores: Stores, now: int = NOW) -> list[str]:
    return sorted(row.name for rows in stores.audits.due(now) for row in rows)


def issued(stores: Stores, *names: str) -> None:
    for name in names:
        stores.change(name, crt=CRT, ts_expire=NOW + 9, due_at=NOW + 9)


def test_an_audit_is_due_at_its_moment(stores: Stores) -> None:
    """A certificate that was never audited at once, one of which nothing was found when its moment comes, and one
    whose moment is too far ahead to be meant. None without a certificate."""
    assert due(stores) == []
    issued(stores, NAME, OTHER)
    assert due(stores) == sorted([NAME, OTHER])
    stores.audits.put_off([NAME], NOW + 100)
    stores.audits.put_off([OTHER], NOW + 300)
    assert [due(stores, NOW + seconds) for seconds in (0, 99, 100)] == [[], [], [NAME]]
    stores.audits.put_off([OTHER], NOW + 2 * AUDIT_EVERY)
    assert due(stores) == [OTHER]
    stores.audits.put_off([], NOW)


def test_the_certificate_itself_says_that_it_is_there(stores: Stores) -> None:
    """Not the column of its end, which anybody may have emptied: a revocation would never be told."""
    stores.change(NAME, crt=CRT, ts_expire=None)
    assert due(stores) == [NAME]


def test_what_was_found_stays_with_the_row(stores: Stores) -> None:
    """The kinds, those that were served, and the moment; what is not wanted again is not due."""
    issued(stores, NAME, OTHER)
    [row] = stores.certificates.enrolled([NAME])
    assert stores.audits.save(row, Audited(NOW + 50, ("chain", "weak-key"), ("chain",)), NOW)
    [row] = stores.certificates.enrolled([NAME])
    watch = row.watch
    assert (watch.audit_at, watch.found, watch.served) == (
        NOW + 50,
        frozenset({"chain", "weak-key"}),
        frozenset({"chain"}),
    )
    assert (row.due_at, row.reissue_reason) == (NOW + 9, "")
    stores.audits.put_off([NAME], NOW + 60)
    [row] = stores.certificates.enrolled([NAME])
    assert (row.watch.audit_at, row.watch.found, row.watch.served) == (NOW + 60, frozenset(), frozenset())


def test_what_is_wanted_is_due(stores: Stores) -> None:
    """Whatever the dates of its row say."""
    issued(stores, NAME, OTHER)
    assert stores.certificates.due(NOW) == []
    [row] = stores.certificates.enrolled([NAME])
    assert stores.audits.save(row, Audited(NOW + 50, ("chain",), ("chain",), "the audit found: chain"), NOW)
    [row] = stores.certificates.due(NOW)
    assert (row.name, row.reissue_reason, row.watch.served) == (NAME, "the audit found: chain", frozenset({"chain"}))


def test_nothing_is_left_with_a_certificate_that_was_stored_meanwhile(stores: Stores) -> None:
    """Whether the one before is revoked is asked for as long as a minute."""
    issued(stores, NAME)
    [row] = stores.certificates.enrolled([NAME])
    stores.change(NAME, crt=CRT + b"2")
    assert not stores.audits.save(row, Audited(NOW + 50, ("revoked",), ("revoked",), "the audit found: revoked"), NOW)
    [row] = stores.certificates.enrolled([NAME])
    assert (row.watch.found, row.reissue_reason) == (frozenset(), "")
