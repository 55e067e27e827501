"""What an ApprovalStore promises, beside the CertificateStore that lets a certificate wait."""

from common.certificate import fingerprint, serial_text
from issuer.model.unapproved import Unapproved
from tests.issuer.contracts.conftest import OTHER, Stores
from tests.issuer.contracts.test_certificate_store import issued
from tests.issuer.contracts.test_order_store import planned
from tests.issuer.store.opened import CA, NAME, NOW, obtained

UNTIL = NOW + 86400


def line_of(name: str, sha256: str) -> str:
    """As an issuer seals it."""
    return f"key mac {Unapproved(name, sha256, UNTIL, CA, 'account', 'short', True, True).text}"


def test_a_certificate_waits_and_is_offered(stores: Stores) -> None:
    """Beside the present one, which stays as it is; its order has ended, and its failures and wishes are over."""
    present, coming = issued(), issued()
    certificates, approvals = stores.certificates, stores.approvals
    [row] = certificates.get([NAME])
    certificates.store(planned(stores), obtained(row.csr, present, due_at=NOW + 60), NOW)
    certificates.request_reissue([NAME], "by hand")
    record, line = planned(stores), line_of(NAME, fingerprint(coming.leaf))
    certificates.store(record, obtained(row.csr, coming, due_at=UNTIL), NOW, unapproved=line)
    [row] = certificates.get([NAME])
    assert (row.crt, row.unapproved, row.due_at, row.reissue_reason) == (present.leaf_pem, line, UNTIL, "")
    assert stores.orders("one").claim(NAME, NOW) is None
    kept = approvals.certificate(row)
    assert kept is not None
    assert (kept.leaf_pem, kept.chain_pem) == (coming.leaf_pem, coming.chain_pem)
    last = certificates.last_from("CA")
    assert last is not None
    assert last.leaf_pem == present.leaf_pem, "nobody has approved the other one"
    assert approvals.offer(
        row,
        obtained(row.csr, coming, due_at=NOW + 70, ask_at=NOW + 65, account="account", profile="short", early=True),
        NOW,
    )
    [after] = certificates.get([NAME])
    assert (after.crt, after.unapproved, after.due_at, after.ari_ask_at) == (coming.leaf_pem, "", NOW + 70, NOW + 65)
    assert (after.directory, after.account, after.profile, after.early) == (CA, "account", "short", True)
    assert f"{NAME} {serial_text(coming.leaf)} at {NOW} after (" in after.statement
    last = certificates.last_from("CA")
    assert last is not None
    assert last.leaf_pem == coming.leaf_pem
    assert not approvals.offer(row, obtained(row.csr, coming), NOW), "it was offered already"


def test_nothing_is_offered_that_does_not_wait(stores: Stores) -> None:
    """Nor what waited when the row was read, once another certificate was stored."""
    certificates, approvals, coming = stores.certificates, stores.approvals, issued()
    [row, other] = certificates.get([NAME, OTHER])
    assert approvals.certificate(row) is None
    assert not approvals.offer(row, obtained(row.csr, coming), NOW)
    line = line_of(NAME, fingerprint(coming.leaf))
    certificates.store(planned(stores), obtained(row.csr, coming, due_at=UNTIL), NOW, unapproved=line)
    [waiting] = certificates.get([NAME])
    newer = issued()
    certificates.store(planned(stores), obtained(row.csr, newer, due_at=NOW + 60), NOW)
    assert not approvals.offer(waiting, obtained(row.csr, coming), NOW)
    [row] = certificates.get([NAME])
    assert (row.crt, row.unapproved) == (newer.leaf_pem, "")
    assert other == certificates.get([OTHER])[0]
