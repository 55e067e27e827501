"""What a CertificateStore and a HoldStore promise."""

import dataclasses

import pytest

from common.certificate import Bundle, not_after, parse_bundle
from common.errors import UsageError
from issuer.model.csr import md5_modulus
from issuer.model.enrolment import AT_ONCE, Change, Validation
from issuer.model.errors import GivenUp, Overtaken
from issuer.model.failure import Failure
from issuer.model.limits import ACCOUNT, LONGEST_HOLD, LONGEST_HOLD_ON_NAME
from issuer.model.orders import Cause, new_order
from issuer.store.orders import LEASE_SECONDS
from tests.issuer.contracts.conftest import BY_FILES, OTHER, Stores, signed
from tests.issuer.contracts.test_order_store import planned
from tests.issuer.signing_requests import csr
from tests.issuer.store.opened import CA, NAME, NOW, obtained
from tests.servers.authority import Authority

ACCOUNT_ID = "ab" * 32
FAILURE = Failure("shop: rsa: refused", "no: (really)", "mend it; or not", "dns", "https://ca.test/why")
LIMITED = Failure("limited", "too many", url="https://ca.test/limits")
HELD = Failure(LIMITED.sentence)  # a hold keeps the reason in one line, for people
AUTHORITY = Authority("Root").intermediate("CA")


def issued(name: str = NAME) -> Bundle:
    return parse_bundle(AUTHORITY.issue([name]).fullchain_pem)


def test_rows_are_given_in_the_order_asked_for(stores: Stores) -> None:
    """Each once; `get` names all that are not enrolled, `enrolled` leaves them out."""
    certificates = stores.certificates
    assert [row.name for row in certificates.get([OTHER, NAME, OTHER])] == [OTHER, NAME]
    with pytest.raises(UsageError, match=r"not enrolled: a\.test, b\.test"):
        certificates.get(["a.test", NAME, "b.test"])
    assert [row.name for row in certificates.enrolled(["a.test", NAME])] == [NAME]
    assert certificates.enrolled([]) == []


def test_a_row_is_due_until_it_is_put_off(stores: Stores) -> None:
    """At its moment, or without one, or where the moment is too far ahead to be meant."""
    certificates = stores.certificates
    assert [row.name for row in certificates.due(NOW)] == sorted([NAME, OTHER])
    certificates.postpone(NAME, NOW + 60)
    assert [row.name for row in certificates.due(NOW + 59)] == [OTHER]
    assert {row.name for row in certificates.due(NOW + 60)} == {NAME, OTHER}
    certificates.postpone(NAME, NOW + 4 * 365 * 86400)
    assert {row.name for row in certificates.due(NOW)} == {NAME, OTHER}


def test_a_row_that_somebody_has_made_expire_is_due_whatever_its_moment(stores: Stores) -> None:
    """ts_expire in the past beside a certificate; not without one, and not while it waits after a failure."""
    certificates = stores.certificates
    for name in (NAME, OTHER):
        certificates.postpone(name, NOW + 60)
    stores.change(NAME, ts_expire=1)
    assert certificates.due(NOW) == []
    stores.change(NAME, crt=issued().leaf_pem, ts_expire=NOW + 1)
    assert certificates.due(NOW) == []
    for ts_expire in (NOW, 1, 0, -1):
        stores.change(NAME, ts_expire=ts_expire)
        assert [row.name for row in certificates.due(NOW)] == [NAME]
    stores.change(NAME, ts_expire=None)
    assert certificates.due(NOW) == []
    stores.change(NAME, ts_expire=1)
    certificates.record_failure(NAME, FAILURE, NOW + 60, NOW)
    assert certificates.due(NOW) == []
    assert [row.name for row in certificates.due(NOW + 60)] == sorted([NAME, OTHER])


def test_a_failure_is_counted_with_its_facts(stores: Stores) -> None:
    """And with the moment of the next attempt; nobody else's row changes, and a row that is gone is no error."""
    before = stores.certificates.get([OTHER])
    for count in (1, 2):
        stores.certificates.record_failure(NAME, FAILURE, NOW + 60, NOW)
        [row] = stores.certificates.get([NAME])
        assert (row.failures, row.failure, row.failing, row.due_at) == (count, FAILURE, True, NOW + 60)
    stores.certificates.record_failure("gone.test", FAILURE, NOW + 60, NOW)
    assert stores.certificates.get([OTHER]) == before


def test_a_wish_makes_a_row_due(stores: Stores) -> None:
    """Until a certificate is stored, or a person who worked by hand gives it up."""
    certificates = stores.certificates
    certificates.postpone(NAME, NOW + 60)
    certificates.request_reissue([NAME], "by hand")
    [row] = certificates.get([NAME])
    assert (row.reissue_reason, row.due_at) == ("by hand", None)
    certificates.give_up_by_hand(NAME, "", FAILURE, due_at=NOW + 5, now=NOW)
    [row] = certificates.get([NAME])
    assert (row.reissue_reason, row.due_at, row.failure, row.failures) == ("", NOW + 5, FAILURE, 0)


def test_what_was_drawn_from_the_window_is_kept(stores: Stores) -> None:
    """So that it is drawn once."""
    [row] = stores.certificates.get([NAME])
    drawn = dataclasses.replace(row, ari_at=NOW + 7, ari_window=(NOW, NOW + 9), ari_ask_at=NOW + 5)
    stores.certificates.save_renewal_info(drawn, "")
    assert stores.certificates.get([NAME]) == [drawn]


@pytest.mark.parametrize("early", [True, False])
def test_a_certificate_is_put_in_place_and_ends_its_order(stores: Stores, early: bool) -> None:
    """Everything that was said of the one before is over."""
    certificates = stores.certificates
    certificates.request_reissue([NAME], "wish")
    certificates.record_failure(NAME, FAILURE, NOW + 60, NOW)
    [row] = certificates.get([NAME])
    record, bundle = planned(stores), issued()
    new = obtained(row.csr, bundle, due_at=NOW + 1000, ask_at=NOW + 500, account=ACCOUNT_ID, early=early)
    certificates.store(record, new, NOW)
    [after] = certificates.get([NAME])
    assert after == dataclasses.replace(
        row,
        crt=bundle.leaf_pem,
        ca=bundle.chain_pem,
        ts_expire=not_after(bundle.leaf),
        ts_last_update=NOW,
        due_at=NOW + 1000,
        ari_ask_at=NOW + 500,
        directory=CA,
        account=ACCOUNT_ID,
        early=early,
        statement=signed(NAME, bundle, "", NOW, older=False),
        reissue_reason="",
        failures=0,
        failure=None,
    )
    assert stores.orders("mine").claim(NAME, NOW) is None
    assert planned(stores).id != record.id


def test_a_statement_follows_the_one_before(stores: Stores) -> None:
    """Who signs sees the text that it takes the place of; one that could not be signed is none."""
    for _ in range(2):
        [row] = stores.certificates.get([NAME])
        bundle = issued()
        stores.certificates.store(planned(stores), obtained(row.csr, bundle), NOW)
        [after] = stores.certificates.get([NAME])
        assert after.statement == signed(NAME, bundle, row.statement, NOW, older=False)


def test_a_certificate_is_stored_once(stores: Stores) -> None:
    """The answer to our own COMMIT may be lost: the same again changes nothing, and counts as one."""
    [row] = stores.certificates.get([NAME])
    record, bundle = planned(stores), issued()
    stores.certificates.store(record, obtained(row.csr, bundle), NOW)
    stored = stores.certificates.get([NAME])
    stores.certificates.store(record, obtained(row.csr, issued(), due_at=NOW + 9), NOW + 5)
    assert stores.certificates.get([NAME]) == stored


def test_only_the_csr_that_is_enrolled_gets_a_certificate(stores: Stores) -> None:
    """Overtaken for another one, and for a row that is gone; the order has ended all the same."""
    before = stores.certificates.get([NAME])
    with pytest.raises(Overtaken):
        stores.certificates.store(planned(stores), obtained(b"another", issued()), NOW)
    assert stores.certificates.get([NAME]) == before
    with pytest.raises(Overtaken):
        gone = planned(stores, name="gone.test")
        stores.certificates.store(gone, obtained(b"", issued("gone.test")), NOW)
    assert stores.orders("mine").claim(NAME, NOW) is None


def test_an_order_that_was_ended_gets_no_certificate(stores: Stores) -> None:
    """GivenUp with the reason; the row stays as it is."""
    before = stores.certificates.get([NAME])
    record = planned(stores)
    assert stores.orders("other").end_left([record], "its key was revoked", NOW + LEASE_SECONDS + 1)
    with pytest.raises(GivenUp) as caught:
        stores.certificates.store(record, obtained(before[0].csr, issued()), NOW)
    assert caught.value.why == "its key was revoked"
    assert stores.certificates.get([NAME]) == before


def test_an_order_that_another_issuer_took_over_may_store(stores: Stores) -> None:
    """The certificate is good, whoever brings it first."""
    [row] = stores.certificates.get([NAME])
    record = planned(stores)
    assert stores.orders("other").claim(NAME, NOW + LEASE_SECONDS + 1) == record
    stores.certificates.store(record, obtained(row.csr, issued()), NOW)
    assert stores.orders("third").claim(NAME, NOW + 10 * LEASE_SECONDS) is None


@pytest.mark.parametrize("scope", [ACCOUNT, NAME])
def test_a_hold_is_in_force_until_its_moment(stores: Stores, scope: str) -> None:
    """On its account and scope. Those on the account do not concern an order that goes on."""
    holds = stores.holds
    assert holds.until("account", NAME, NOW) is None
    holds.add("account", scope, NOW + 60, LIMITED, NOW)
    assert holds.until("account", NAME, NOW + 59) == (NOW + 60, HELD)
    assert holds.until("account", NAME, NOW + 60) is None
    assert holds.until("another", NAME, NOW) is None
    assert (holds.until("account", OTHER, NOW) is None) == (scope == NAME)
    assert (holds.until("account", NAME, NOW, goes_on=True) is None) == (scope == ACCOUNT)


def test_the_longest_hold_counts_and_the_newest_of_a_scope(stores: Stores) -> None:
    """One that was set anew takes the place of the one before, also where it ends sooner."""
    holds = stores.holds
    holds.add("account", ACCOUNT, NOW + 60, LIMITED, NOW)
    holds.add("account", NAME, NOW + 90, LIMITED, NOW)
    assert holds.until("account", NAME, NOW) == (NOW + 90, HELD)
    holds.add("account", NAME, NOW + 30, LIMITED, NOW)
    assert holds.until("account", NAME, NOW) == (NOW + 60, HELD)


@pytest.mark.parametrize(("scope", "longest"), [(ACCOUNT, LONGEST_HOLD), (NAME, LONGEST_HOLD_ON_NAME)])
def test_a_hold_of_a_clock_that_was_years_ahead(stores: Stores, scope: str, longest: int) -> None:
    """No CA's word holds anything up for longer than a day, or a name for longer than a week, so it counts no more."""
    stores.holds.add("account", scope, NOW + 4 * 365 * 86400, LIMITED, NOW)
    assert stores.holds.until("account", NAME, NOW) is None
    stores.holds.add("account", scope, NOW + longest, LIMITED, NOW)
    assert stores.holds.until("account", NAME, NOW) == (NOW + longest, HELD)


def changing(stores: Stores, *names: str) -> bytes:
    """Another CSR for NAME waits; that CSR."""
    wanted = csr(names or (NAME, "added.test"), "ecdsa-p384")
    stores.wait(NAME, wanted)
    return wanted


def test_a_change_has_moments_and_failures_of_its_own(stores: Stores) -> None:
    """Those of the row stay as they are, and the other way round."""
    certificates = stores.certificates
    for name in (NAME, OTHER):
        certificates.postpone(name, NOW + 1000)
    wanted = changing(stores)
    assert [row.name for row in certificates.due(NOW)] == [NAME]
    certificates.record_failure(NAME, FAILURE, NOW + 60, NOW, change=True)
    certificates.record_failure(NAME, FAILURE, NOW + 70, NOW, change=True)
    [row] = certificates.get([NAME])
    assert row.change == Change(wanted, NOW + 70, 2, FAILURE, validation=BY_FILES)
    assert (row.due_at, row.failures, row.failure) == (NOW + 1000, 0, None)
    assert certificates.due(NOW + 69) == []
    certificates.postpone(NAME, NOW + 50, change=True)
    assert [row.name for row in certificates.due(NOW + 50)] == [NAME]
    certificates.record_failure(NAME, LIMITED, NOW + 90, NOW)
    [row] = certificates.get([NAME])
    assert row.change == Change(wanted, NOW + 50, 2, FAILURE, validation=BY_FILES)
    assert (row.due_at, row.failures, row.failure) == (NOW + 90, 1, LIMITED)
    certificates.request_reissue([NAME, OTHER], "by hand")
    [row, other] = certificates.get([NAME, OTHER])
    assert row.change == Change(wanted, AT_ONCE, 2, FAILURE, validation=BY_FILES)
    assert other.change is None
    certificates.give_up_by_hand(NAME, "", FAILURE, due_at=NOW + 5, now=NOW, change=True)
    [row] = certificates.get([NAME])
    assert row.change == Change(wanted, NOW + 5, 2, FAILURE, validation=BY_FILES)
    assert (row.reissue_reason, row.due_at, row.failure) == ("", None, LIMITED)


def test_a_moment_of_a_change_that_is_too_far_ahead_does_not_count(stores: Stores) -> None:
    """A clock was years ahead when it was saved."""
    for name in (NAME, OTHER):
        stores.certificates.postpone(name, NOW + 1000)
    changing(stores)
    stores.certificates.postpone(NAME, NOW + 4 * 365 * 86400, change=True)
    assert [row.name for row in stores.certificates.due(NOW)] == [NAME]


def test_a_change_of_a_row_without_one_is_none(stores: Stores) -> None:
    """A change that was dropped meanwhile does not come back by its failure."""
    before = stores.certificates.get([NAME])
    stores.certificates.record_failure(NAME, FAILURE, NOW + 60, NOW, change=True)
    stores.certificates.postpone(NAME, NOW + 60, change=True)
    assert stores.certificates.get([NAME]) == before


def test_a_change_is_over_with_its_certificate(stores: Stores) -> None:
    """CSR, ways and certificate change together; until then that of the row's own CSR is stored as ever."""
    certificates = stores.certificates
    [row] = certificates.get([NAME])
    wanted = changing(stores)
    certificates.record_failure(NAME, FAILURE, NOW + 60, NOW, change=True)
    certificates.store(planned(stores), obtained(row.csr, issued(), due_at=NOW + 9), NOW)
    [renewed] = certificates.get([NAME])
    assert (renewed.csr, renewed.change) == (row.csr, Change(wanted, NOW + 60, 1, FAILURE, validation=BY_FILES))
    bundle = issued()
    certificates.store(planned(stores), obtained(wanted, bundle, due_at=NOW + 10), NOW)
    [changed] = certificates.get([NAME])
    assert (row.validation, renewed.validation, changed.validation) == (Validation(), Validation(), BY_FILES)
    assert (changed.csr, changed.crt, changed.change, changed.due_at) == (wanted, bundle.leaf_pem, None, NOW + 10)
    assert changed.md5_modulus in ("", md5_modulus(bundle.leaf.public_key()))
    with pytest.raises(Overtaken):
        certificates.store(planned(stores), obtained(row.csr, issued()), NOW)
    assert certificates.get([NAME]) == [changed]


def test_a_row_with_a_change_knows_which_csr_its_order_is_for(stores: Stores) -> None:
    """Until that order has ended."""
    changing(stores)
    record = stores.orders("mine").open(new_order(NAME, CA, NOW, Cause.CHANGE, csr_sha256="ab" * 32), [])
    assert record is not None
    assert record.csr_sha256 == "ab" * 32
    assert stores.orders("mine").claim(NAME, NOW) == record
    assert [row.ordered for row in stores.certificates.get([NAME, OTHER])] == ["ab" * 32, ""]
    stores.orders("mine").fail(record, "over", NOW)
    assert [row.ordered for row in stores.certificates.get([NAME])] == [""]


def test_the_last_certificate_of_an_issuer(stores: Stores) -> None:
    """Of whatever name, and None for an issuer of whom nothing is stored; news of a CA do not change what is stored."""
    assert stores.certificates.last_from("CA") is None
    for name in (NAME, OTHER):
        bundle, record = issued(name), planned(stores, name=name)
        [row] = stores.certificates.get([name])
        stores.certificates.store(record, obtained(row.csr, bundle, due_at=NOW + 60), NOW, news="issuer A → B")
    found = stores.certificates.last_from("CA")
    assert found is not None
    assert (found.leaf_pem, found.chain_pem) == (bundle.leaf_pem, bundle.chain_pem)
    assert stores.certificates.get([OTHER])[0].crt == bundle.leaf_pem
