"""The records of dns-persist-01 (draft-ietf-acme-dns-persist): what one says, and whether a CA accepts it. Pure.

One TXT record at `_validation-persist.NAME` allows an account at a CA to have certificates for NAME until somebody
removes it. Drafts 00 and 01 name the account by a URI; draft 02 has a hash in its place.
"""

import hashlib
import re
from collections.abc import Collection, Sequence

from common import base64url
from common.clock import utc_text
from common.dataclasses import dataclass
from common.errors import Retry
from common.text import storable
from issuer.model.acme import CaChallenge, CaIdentity
from issuer.model.errors import AcmeProblem
from issuer.rules.issue_value import IssueValue, issue_value

WARN_SECONDS = 30 * 86400  # before the end of a record
_MOST_ISSUERS = 10  # draft 01, section 3.1
_DOMAIN = re.compile(r"(?!-)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*")
_ACCOUNT = re.compile(r"[\x21-\x3a\x3c-\x7e]+")
_HASH = "sha-256/"
_LONGEST_SHOWN = 300
_STRING = 255  # octets in one character-string of a TXT record (RFC 1035 §3.3)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The records that count for one name. *issuers*: the names of the CA. *accounts*: what names our account. The
    first of both is the one to publish; an empty one stands for any. *wildcard*: is the name one?"""

    issuers: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    wildcard: bool = False

    @property
    def records(self) -> list[str]:
        """Every record that counts, without an end. The first one is the one to publish."""
        policy = "; policy=wildcard" if self.wildcard else ""
        return [f"{issuer}; accounturi={account}{policy}" for issuer in self.issuers for account in self.accounts]


def owner_of(name: str) -> str:
    """The name of the record for *name*."""
    return f"_validation-persist.{name.removeprefix('*.')}"


def wanted_in(records: str) -> Wanted:
    """The Wanted whose records are these lines."""
    values = [issue_value(line) for line in records.splitlines()]
    return Wanted(
        tuple(dict.fromkeys(value.domain for value in values)),
        tuple(dict.fromkeys(value.parameters.get("accounturi", "") for value in values)),
        any(value.parameters.get("policy") == "wildcard" for value in values),
    )


def wanted_by(challenge: CaChallenge, name: str) -> Wanted:
    """The records that answer *challenge* for *name*. Raises AcmeProblem for a malformed challenge."""
    issuers, accounts = challenge.issuer_domain_names, challenge.account_uris
    why = _malformed(issuers, accounts)
    if why:
        raise AcmeProblem(f"the CA's challenge for {name} is malformed", why=why, retry=Retry.LATER)
    return Wanted(issuers, accounts, name.startswith("*."))


def wanted_at(ca: CaIdentity, name: str) -> Wanted:
    """The records that *ca* will accept for *name*, by what it tells before there is an order. Raises AcmeProblem where
    it does not tell enough."""
    accounts = accounts_of(ca, name)
    why = _malformed(ca.issuers, accounts)
    if why:
        what = f"it cannot be told which record {ca.directory} wants"
        hint = "ask the CA whether it has dns-persist-01; where it has, `challenges` shows the record"
        raise AcmeProblem(what, why=why, hint=hint, retry=Retry.LATER)
    return Wanted(ca.issuers, accounts, name.startswith("*."))


def accounts_of(ca: CaIdentity, name: str) -> tuple[str, ...]:
    """The values of accounturi that stand for our account in a record for *name*: its URL; where the CA has a prefix
    for them the hash for that name and the one for every name (draft 02, section 4.1)."""
    if not ca.account or not ca.hash_prefix:
        return (ca.account,) if ca.account else ()
    return tuple(_hashed(ca, one) for one in (name.removeprefix("*."), "*"))


def objection(shown: Collection[str], wanted: Wanted, now: float) -> str:
    """Why none of the TXT values *shown* counts; "" if one does."""
    if not shown:
        return "there is no TXT record"
    values = {text: issue_value(text) for text in sorted(shown)}
    ours = {text: value for text, value in values.items() if not wanted.issuers or value.domain in wanted.issuers}
    if not ours:
        return f"no record is for {' or '.join(wanted.issuers)}: {_quoted(values)}"
    faults = {text: _fault(value, wanted, now) for text, value in ours.items()}
    return "" if "" in faults.values() else "; ".join(f"{_quoted([text])} {why}" for text, why in faults.items())


def ends_at(shown: Collection[str], wanted: Wanted, now: float) -> int | None:
    """When the last record that counts ends (epoch seconds); None if one has no end or none counts."""
    counting = [text for text in shown if not objection([text], wanted, now)]
    ends = [issue_value(text).parameters.get("persistuntil") for text in counting]
    return None if None in ends or not ends else max(int(end) for end in ends if end is not None)


def names_exactly(shown: Collection[str], wanted: Wanted) -> bool:
    """Does a record name our account as it is now? A hash of an earlier key may count as well."""
    return any(issue_value(text).parameters.get("accounturi") in wanted.accounts for text in shown)


def zone_line(owner: str, text: str) -> str:
    """The line of a zone file for a TXT record, which consists of strings of at most 255 octets."""
    pieces = [text[begin : begin + _STRING] for begin in range(0, len(text), _STRING)]
    escaped = (piece.replace("\\", r"\\").replace('"', r"\"") for piece in pieces)
    return f"{owner}. 3600 IN TXT " + " ".join(f'"{piece}"' for piece in escaped)


def _fault(value: IssueValue, wanted: Wanted, now: float) -> str:
    """Why this record of the CA does not count; "" if it does."""
    account, until = value.parameters.get("accounturi", ""), value.parameters.get("persistuntil")
    if value.fault or not value.domain:
        return f"is malformed ({_printed(value.fault) or 'it names no CA'})"
    if not account:
        return "has no accounturi"
    if until is not None and not re.fullmatch("[0-9]{1,18}", until):
        return f"is malformed (persistUntil={_printed(until)} is no whole number)"
    if not _stands_for_us(account, wanted.accounts):
        return f"is for another account than {wanted.accounts[0]}"
    if wanted.wildcard and value.parameters.get("policy", "").lower() != "wildcard":
        return "lacks policy=wildcard"
    if until is not None and now > int(until):
        return f"has counted no more since {utc_text(int(until))} (persistUntil)"
    return ""


def _stands_for_us(account: str, accounts: Sequence[str]) -> bool:
    """May *account* be ours? Of a hash only the CA knows: one of an earlier key counts for as long as it keeps that."""
    if not accounts or account in accounts:
        return True
    prefix, found, _ = accounts[0].rpartition(_HASH)
    return bool(found) and account.startswith(prefix + _HASH)


def _malformed(issuers: Sequence[str], accounts: Sequence[str]) -> str:
    """The reason why no record can be made; "" for none."""
    if not issuers or len(issuers) > _MOST_ISSUERS:
        return f"it has {len(issuers)} issuer domain names, and 1 to {_MOST_ISSUERS} are allowed"
    odd = [issuer for issuer in issuers if len(issuer) > 253 or not _DOMAIN.fullmatch(issuer)]
    if odd:
        return f"{odd[0]!r} is no issuer domain name"
    if not accounts:
        return "our account there does not exist yet"
    odd = [account for account in accounts if not _ACCOUNT.fullmatch(account)]
    return f"{odd[0]!r} is no accounturi" if odd else ""


def _hashed(ca: CaIdentity, name: str) -> str:
    hashed = hashlib.sha256(bytes([len(name)]) + f"{name}{ca.thumbprint}{ca.account}".encode()).digest()
    return f"{ca.hash_prefix}{_HASH}{base64url.encode(hashed)}"


def _quoted(texts: Collection[str]) -> str:
    return ", ".join(f'"{_printed(text)}"' for text in texts)


def _printed(text: str) -> str:
    return storable(text, _LONGEST_SHOWN)
