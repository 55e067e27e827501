"""Who may issue: the examples of RFC 8659 and RFC 8657, and what people write by mistake."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.rules.caa import CaaRecord, binding, binds, caa_allows

CA = ("letsencrypt.org", "other-name.example")
ACCOUNT = "https://acme.example/acct/7"


def record(text: str, tag: str = "issue", flags: int = 0) -> CaaRecord:
    return CaaRecord(flags, tag, text)


CASES = [
    ("no records at all", [], False, True),
    ("ours", [record("letsencrypt.org")], False, True),
    ("our other name, in capitals", [record("Other-Name.Example.")], False, True),
    ("another CA", [record("ca.example")], False, False),
    ("nobody", [record(";")], False, False),
    ("nobody, empty", [record("")], False, False),
    ("one of several", [record("ca.example"), record("letsencrypt.org")], False, True),
    ("nobody beside ours", [record(";"), record("letsencrypt.org")], False, True),
    ("only a mail address to report to", [record("mailto:noc@example.com", "iodef")], False, True),
    ("unknown property", [record("x", "tbs")], False, True),
    ("unknown property, critical", [record("x", "tbs", 128), record("letsencrypt.org")], False, False),
    ("known property, critical", [record("letsencrypt.org", "issue", 128)], False, True),
    ("tag in capitals", [record("ca.example", "ISSUE")], False, False),
    ("wildcard by issue", [record("letsencrypt.org")], True, True),
    ("wildcard shut out", [record("letsencrypt.org"), record(";", "issuewild")], True, False),
    ("wildcard alone", [record(";"), record("letsencrypt.org", "issuewild")], True, True),
    ("issuewild says nothing of other names", [record(";", "issuewild")], False, True),
    ("our account", [record(f"letsencrypt.org; accounturi={ACCOUNT}")], False, True),
    ("another account", [record(f"letsencrypt.org; accounturi={ACCOUNT}1")], False, False),
    ("two accounts in one", [record(f"letsencrypt.org; accounturi={ACCOUNT}; accounturi={ACCOUNT}")], False, False),
    ("our method", [record("letsencrypt.org; validationmethods=http-01,dns-01")], False, True),
    ("another method", [record("letsencrypt.org;validationmethods=http-01")], False, False),
    ("no method", [record("letsencrypt.org; validationmethods=")], False, False),
    ("both", [record(f"letsencrypt.org ; validationmethods=dns-01 ; accounturi={ACCOUNT}")], False, True),
    ("unknown parameter", [record("letsencrypt.org; policy=ev")], False, True),
    ("malformed parameter", [record("letsencrypt.org; policy")], False, False),
    ("a semicolon at the end", [record("letsencrypt.org;")], False, True),
]


@pytest.mark.parametrize(("what", "records", "wildcard", "allowed"), CASES, ids=[case[0] for case in CASES])
def test_who_may_issue(what: str, records: list[CaaRecord], wildcard: bool, allowed: bool) -> None:
    """Each case is allowed or refused as the RFCs say, with a reason."""
    verdict = caa_allows(records, CA, ACCOUNT, "dns-01", wildcard=wildcard)
    assert verdict.allowed is allowed, what
    assert verdict.reason


@pytest.mark.parametrize("name", ["www.example.test", "*.example.test"])
def test_a_binding_lets_one_account_and_one_method_in(name: str) -> None:
    """The property that is printed allows ours, and neither another account nor another method nor another CA."""
    found, wildcard = binding(name, CA, ACCOUNT, "dns-01"), name.startswith("*.")
    assert found is not None
    assert found.owner == name.removeprefix("*.")
    records = [record(found.value, "issuewild" if found.wildcard else "issue")]
    assert found.wildcard is wildcard
    assert binds(records, wildcard=wildcard)
    assert caa_allows(records, CA, ACCOUNT, "dns-01", wildcard=wildcard).allowed
    assert not caa_allows(records, CA, f"{ACCOUNT}1", "dns-01", wildcard=wildcard).allowed
    assert not caa_allows(records, CA, ACCOUNT, "http-01", wildcard=wildcard).allowed
    assert not caa_allows(records, ["ca.example"], ACCOUNT, "dns-01", wildcard=wildcard).allowed


@pytest.mark.parametrize(
    ("records", "bound"),
    [
        ([], False),
        ([record("letsencrypt.org")], False),
        ([record(f"letsencrypt.org; accounturi={ACCOUNT}"), record("ca.example")], False),
        ([record(f"letsencrypt.org; accounturi={ACCOUNT}"), record(";")], True),
        ([record("letsencrypt.org", "issuewild")], False),
    ],
)
def test_what_binds_to_an_account(records: list[CaaRecord], bound: bool) -> None:
    """Each CA that is allowed has to name an account."""
    assert binds(records, wildcard=False) is bound


def test_no_binding_without_an_account() -> None:
    """Nor at a CA that does not tell its name."""
    assert binding("www.example.test", CA, "", "dns-01") is None
    assert binding("www.example.test", (), ACCOUNT, "dns-01") is None


def test_a_ca_without_identities_cannot_be_told() -> None:
    """A directory need not name the CA's identities: then a restriction is neither met nor missed."""
    assert caa_allows([record("ca.example")], [], ACCOUNT, "dns-01", wildcard=False).allowed is None
    assert caa_allows([], [], ACCOUNT, "dns-01", wildcard=False).allowed is True


def test_an_account_that_does_not_exist_yet_is_said() -> None:
    """The first certificate of an account that CAA is to name cannot be issued before the account is known."""
    verdict = caa_allows([record(f"letsencrypt.org; accounturi={ACCOUNT}")], CA, "", "dns-01", wildcard=False)
    assert verdict.allowed is False
    assert "does not exist yet" in verdict.reason


@pytest.mark.soak
@given(st.text(), st.text(), st.booleans())
def test_any_text_gets_a_verdict(value: str, tag: str, wildcard: bool) -> None:
    """Whatever stands in the records, the answer is a verdict and never an exception."""
    assert caa_allows([record(value, tag)], CA, ACCOUNT, "dns-01", wildcard=wildcard).allowed in (True, False)
