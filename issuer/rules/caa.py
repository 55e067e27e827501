"""May this CA issue for this name by CAA (RFC 8659), with accounturi and validationmethods (RFC 8657)? Pure.

The caller brings the relevant record set: that of the name itself, or of the nearest ancestor that has one
(:mod:`issuer.dns.find.caa` climbs). Every record of it counts, and one that allows is enough.
"""

from collections.abc import Sequence

from common.dataclasses import dataclass
from issuer.rules.issue_value import issue_value

_CRITICAL = 128
# RFC 8659 §4, RFC 9495, and the CA/Browser Forum's contact properties: a critical one of them is no obstacle
_KNOWN_TAGS = ("issue", "issuewild", "iodef", "issuemail", "issuevmc", "contactemail", "contactphone")


@dataclass(frozen=True, slots=True)
class CaaRecord:
    flags: int
    tag: str
    value: str


@dataclass(frozen=True, slots=True)
class Binding:
    """The CAA property that lets one account alone issue for the *wildcard* names of *owner*, or for all others, by one
    method (RFC 8657)."""

    owner: str
    value: str
    wildcard: bool

    @property
    def zone_line(self) -> str:
        return f'{self.owner}. 3600 IN CAA 0 {"issuewild" if self.wildcard else "issue"} "{self.value}"'


@dataclass(frozen=True, slots=True)
class CaaVerdict:
    """*allowed* is None where it cannot be told, because the CA does not publish its CAA names."""

    allowed: bool | None
    reason: str


def caa_allows(
    records: Sequence[CaaRecord], ca_identities: Sequence[str], account_uri: str, method: str, *, wildcard: bool
) -> CaaVerdict:
    """The verdict for one name. *ca_identities*: the directory's caaIdentities (RFC 8555 §9.7.6). *account_uri* is ""
    while there is no account. *method* is the challenge type, like "dns-01"."""
    for record in records:
        if record.flags & _CRITICAL and record.tag.lower() not in _KNOWN_TAGS:
            return CaaVerdict(False, f"the property {record.tag!r} is critical and no CA knows it (RFC 8659 §4.1)")
    decisive = _decisive(records, wildcard=wildcard)
    if not decisive:
        return CaaVerdict(True, "no CAA record restricts who may issue")
    ours = {identity.lower().rstrip(".") for identity in ca_identities}
    if not ours:
        return CaaVerdict(None, "CAA restricts who may issue, and the CA does not say by which name it goes there")
    refusals = []
    for record in decisive:
        refusal = _refusal(record, ours, account_uri, method)
        if not refusal:
            return CaaVerdict(True, f'CAA allows it: {record.tag} "{record.value}"')
        refusals.append(f'{record.tag} "{record.value}" {refusal}')
    return CaaVerdict(False, "; ".join(refusals))


def binding(name: str, ca_identities: Sequence[str], account_uri: str, method: str) -> Binding | None:
    """The property for *name*; None where the CA does not publish its CAA names or there is no account yet."""
    if not ca_identities or not account_uri:
        return None
    value = f"{ca_identities[0]}; accounturi={account_uri}; validationmethods={method}"
    return Binding(name.removeprefix("*."), value, wildcard=name.startswith("*."))


def binds(records: Sequence[CaaRecord], *, wildcard: bool) -> bool:
    """Does every property that counts name an account, or allow nobody?"""
    values = [issue_value(record.value) for record in _decisive(records, wildcard=wildcard)]
    return bool(values) and all(not value.domain or "accounturi" in value.parameters for value in values)


def _decisive(records: Sequence[CaaRecord], *, wildcard: bool) -> list[CaaRecord]:
    """For a wildcard the issuewild properties count alone, if there are any (RFC 8659 §4.3)."""
    wild = [record for record in records if record.tag.lower() == "issuewild"]
    return wild if wildcard and wild else [record for record in records if record.tag.lower() == "issue"]


def _refusal(record: CaaRecord, ours: set[str], account_uri: str, method: str) -> str:
    """Why this property does not allow it; "" when it does."""
    value = issue_value(record.value)
    if not value.domain:
        return "allows nobody"
    if value.domain not in ours:
        return f"allows another CA than {', '.join(sorted(ours))}"
    if value.fault:
        return f"has a malformed or repeated parameter ({value.fault})"
    account = value.parameters.get("accounturi")
    if account is not None and account != account_uri:
        return f"allows another account than ours ({account_uri or 'which does not exist yet'})"
    methods = value.parameters.get("validationmethods")
    if methods is not None and method not in methods.lower().split(","):
        return f"does not allow validation by {method}"
    return ""
