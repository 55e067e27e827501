"""Which record of dns-persist-01 counts: the draft's examples, and what people write by mistake."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.ca.answers import authorization_of
from issuer.model.acme import CaChallenge, CaIdentity
from issuer.model.errors import AcmeProblem
from issuer.rules.issue_value import issue_value
from issuer.rules.persist import (
    Wanted,
    accounts_of,
    ends_at,
    names_exactly,
    objection,
    owner_of,
    wanted_at,
    wanted_by,
    wanted_in,
    zone_line,
)

CA, ACCOUNT, NOW = "authority.example", "https://ca.example/acct/123", 1_767_225_600
GOOD = f"{CA}; accounturi={ACCOUNT}"
WANTED, WILD = Wanted((CA, "ca.example.net"), (ACCOUNT,)), Wanted((CA,), (ACCOUNT,), wildcard=True)
HASHED = "https://ca.example/account-hash/sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw"  # draft 02, section 10.2
FOR_ALL = "https://ca.example/account-hash/sha-256/NpDnSwUthQK8zCgFdefYxAdAVPnygMLbs9US6oO-5ug"
THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"

CASES = [
    ("the draft's", [GOOD], WANTED, ""),
    ("the other name of the CA", [GOOD.replace(CA, "ca.example.net")], WANTED, ""),
    ("capitals and a final dot", [GOOD.replace(CA, "Authority.Example.")], WANTED, ""),
    ("blanks and tabs", [f" {CA} ;\taccounturi = {ACCOUNT} ; policy= wildcard "], WILD, ""),
    ("no blanks", [f"{CA};accounturi={ACCOUNT}"], WANTED, ""),
    ("tags in capitals", [f"{CA}; ACCOUNTURI={ACCOUNT}; PersistUntil={NOW}; POLICY=WildCard"], WILD, ""),
    ("unknown parameters", [f"{GOOD}; x-later=1; other="], WANTED, ""),
    ("another policy", [f"{GOOD}; policy=strict"], WANTED, ""),
    ("a wildcard policy for a name", [f"{GOOD}; policy=wildcard"], WANTED, ""),
    ("one of several", ["", "x", f"{GOOD}; persistUntil=1", GOOD, "other.example"], WANTED, ""),
    ("the last second", [f"{GOOD}; persistUntil={NOW}"], WANTED, ""),
    ("none", [], WANTED, "there is no TXT record"),
    ("empty", [""], WANTED, "no record is for authority.example or ca.example.net"),
    ("another CA", ["other.example; accounturi=x"], WANTED, "no record is for authority.example or ca.example.net"),
    ("a name below the CA's", [GOOD.replace(CA, f"x.{CA}")], WANTED, "no record is for"),
    ("another account", [f"{GOOD}4"], WANTED, f"is for another account than {ACCOUNT}"),
    ("the account in capitals", [GOOD.replace("acct", "ACCT")], WANTED, "is for another account"),
    ("no account", [CA], WANTED, "has no accounturi"),
    ("an empty account", [f"{CA}; accounturi="], WANTED, "has no accounturi"),
    ("no policy", [GOOD], WILD, "lacks policy=wildcard"),
    ("another policy for a wildcard", [f"{GOOD}; policy=wild"], WILD, "lacks policy=wildcard"),
    ("a second late", [f"{GOOD}; persistUntil={NOW - 1}"], WANTED, "has counted no more since 2025-12-31"),
    ("twice the same", [f"{GOOD}; accounturi={ACCOUNT}"], WANTED, "is malformed (accounturi="),
    ("twice in other capitals", [f"{GOOD}; policy=wildcard; Policy=wildcard"], WILD, "is malformed (Policy=wildcard)"),
    ("no equals sign", [f"{GOOD}; policy"], WANTED, "is malformed (policy)"),
    ("a semicolon at the end", [f"{GOOD};"], WANTED, "is malformed (a semicolon at the end)"),
    ("a blank in a value", [f"{GOOD}; policy=wild card"], WANTED, "is malformed"),
    ("a tag with an underscore", [f"{GOOD}; a_b=1"], WANTED, "is malformed (a_b=1)"),
    ("a date", [f"{GOOD}; persistUntil=2026-01-01"], WANTED, "persistUntil=2026-01-01 is no whole number"),
    ("a negative end", [f"{GOOD}; persistUntil=-1"], WANTED, "is no whole number"),
    ("an end beyond all clocks", [f"{GOOD}; persistUntil={10**30}"], WANTED, "is no whole number"),
    ("for nobody, of any CA", [";"], Wanted(), "is malformed (it names no CA)"),
    ("any CA and account", ["x.example; accounturi=y"], Wanted(), ""),
    ("any, for a wildcard", ["x.example; accounturi=y"], Wanted(wildcard=True), "lacks policy=wildcard"),
    ("a hash", [f"{CA}; accounturi={HASHED}"], Wanted((CA,), (HASHED, FOR_ALL)), ""),
    ("a hash for every name", [f"{CA}; accounturi={FOR_ALL}"], Wanted((CA,), (HASHED, FOR_ALL)), ""),
    ("perhaps of an earlier key", [f"{CA}; accounturi={HASHED[:-1]}"], Wanted((CA,), (HASHED, FOR_ALL)), ""),
    ("no hash where one is wanted", [GOOD], Wanted((CA,), (HASHED, FOR_ALL)), "is for another account"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "shown", "wanted", "why"), CASES, ids=[case[0] for case in CASES])
def test_which_record_counts(what: str, shown: list[str], wanted: Wanted, why: str) -> None:
    """Each fault has a sentence of its own."""
    told = objection(shown, wanted, NOW)
    assert why in told, what
    assert bool(why) is bool(told)


@given(st.lists(st.text() | st.text().map(lambda text: f"{GOOD}; {text}")), st.booleans())
def test_any_text_gets_a_verdict(shown: list[str], wildcard: bool) -> None:
    """Whatever stands in DNS, the answer is one printable line."""
    told = objection(shown, Wanted((), (), wildcard), NOW)
    assert told.isprintable()
    ends_at(shown, Wanted(), NOW)


def test_the_records_that_count_can_be_kept_as_text() -> None:
    """The journal keeps them; the first is the one to publish."""
    wanted = Wanted((CA, "ca.example.net"), (HASHED, FOR_ALL), wildcard=True)
    assert wanted_in("\n".join(wanted.records)) == wanted
    assert wanted.records[0] == f"{CA}; accounturi={HASHED}; policy=wildcard"
    assert objection(wanted.records[:1], wanted, NOW) == ""
    assert owner_of("*.example.com") == owner_of("example.com") == "_validation-persist.example.com"


def test_when_the_last_one_ends() -> None:
    """Those that do not count do not matter; one without an end lasts."""
    two = [f"{GOOD}; persistUntil={NOW + 5}", f"{GOOD}; persistUntil={NOW + 9}", "other.example; accounturi=x"]
    assert ends_at(two, WANTED, NOW) == NOW + 9
    assert ends_at([*two, GOOD], WANTED, NOW) is None
    assert ends_at([], WANTED, NOW) is None


def test_a_hash_of_an_earlier_key_is_told_apart() -> None:
    """Only the CA knows whether it counts still."""
    wanted = Wanted((CA,), (HASHED, FOR_ALL))
    assert names_exactly([f"{CA}; accounturi={FOR_ALL}"], wanted)
    assert not names_exactly([f"{CA}; accounturi={HASHED[:-1]}"], wanted)


def test_the_hash_of_the_draft() -> None:
    """Draft 02, section 10.2; a wildcard has the record of its base name."""
    ca = CaIdentity("dir", (), ACCOUNT, (CA,), "https://ca.example/account-hash/", THUMBPRINT)
    assert accounts_of(ca, "example.com") == accounts_of(ca, "*.example.com") == (HASHED, FOR_ALL)
    assert wanted_at(ca, "*.example.com") == Wanted((CA,), (HASHED, FOR_ALL), wildcard=True)


def challenge(issuers: tuple[str, ...] = (CA,), accounts: tuple[str, ...] = (ACCOUNT,)) -> CaChallenge:
    return CaChallenge("dns-persist-01", "https://ca.example/c", "", "pending", None, issuers, accounts)


@pytest.mark.parametrize(
    "issuers",
    [(), tuple(f"ca{number}.example" for number in range(11)), ('x"; y',), ("-a.example",), ("a..b",), ("x" * 64,)],
)
def test_malformed_lists_of_issuers(issuers: tuple[str, ...]) -> None:
    """1 to 10 domain names: what a person pastes into a zone is never something else."""
    with pytest.raises(AcmeProblem, match="malformed"):
        wanted_by(challenge(issuers), "example.com")
    assert wanted_by(challenge(tuple(f"ca{number}.example" for number in range(10))), "example.com")


@pytest.mark.parametrize("account", ["a b", "x;policy=wildcard", 'é"'])
def test_malformed_accounts(account: str) -> None:
    with pytest.raises(AcmeProblem, match="is no accounturi"):
        wanted_by(challenge(accounts=(account,)), "example.com")


@pytest.mark.parametrize(
    ("document", "issuers", "accounts"),
    [
        ({"issuer-domain-names": [CA]}, (CA,), (ACCOUNT,)),
        ({"issuerDomainNames": ["Authority.Example.", CA]}, (CA,), (ACCOUNT,)),
        ({"issuer-domain-names": [CA], "accounturi": "https://ca.example/2"}, (CA,), ("https://ca.example/2",)),
        ({}, ("of-directory.example",), (ACCOUNT,)),
        ({"issuer-domain-names": CA, "accounturi": ["x"]}, ("of-directory.example",), (ACCOUNT,)),
        ({"issuer-domain-names": [1, None, {}], "accounturi": 1}, ("of-directory.example",), (ACCOUNT,)),
    ],
)
def test_what_a_challenge_says(
    document: dict[str, object], issuers: tuple[str, ...], accounts: tuple[str, ...]
) -> None:
    """Both spellings, with and without an account; what is of another type counts as missing."""
    ca = CaIdentity("dir", (), ACCOUNT, ("of-directory.example",))
    offered = {"type": "dns-persist-01", "url": "https://ca.example/c", "status": "pending", **document}
    identifier = {"type": "dns", "value": "example.com"}
    authorization = authorization_of("https://ca.example/a", {"identifier": identifier, "challenges": [offered]}, ca)
    [seen] = authorization.challenges
    assert (seen.issuer_domain_names, seen.account_uris, seen.token) == (issuers, accounts, "")


def test_a_long_record_is_cut_into_strings() -> None:
    """A string of a TXT record has at most 255 octets (RFC 1035 §3.3), and a quote in it is escaped."""
    line = zone_line("_validation-persist.example.com", f'{"x" * 255}y"\\')
    assert line == f'_validation-persist.example.com. 3600 IN TXT "{"x" * 255}" "y\\"\\\\"'


@pytest.mark.parametrize(
    ("text", "domain", "parameters", "fault"),
    [
        ("ca.example", "ca.example", {}, ""),
        ("ca.example;", "ca.example", {}, ""),
        (";", "", {}, ""),
        ("", "", {}, ""),
        ("%%%%%", "%%%%%", {}, ""),
        ("ca.example; a=1; b-c=2=3", "ca.example", {"a": "1", "b-c": "2=3"}, ""),
        ("ca.example; -a=1", "ca.example", {}, "-a=1"),
        ("ca.example; a=1; ;", "ca.example", {"a": "1"}, "a semicolon at the end"),
        ("ca.example; a=ä", "ca.example", {}, "a=ä"),
    ],
)
def test_the_grammar(text: str, domain: str, parameters: dict[str, str], fault: str) -> None:
    """RFC 8659 §4.2, shared with CAA."""
    value = issue_value(text)
    assert (value.domain, dict(value.parameters), value.fault) == (domain, parameters, fault)
