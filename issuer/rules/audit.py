"""Judge the certificate of a row: its faults, and those that a new certificate cures. Pure.

`run` orders by :func:`issuer.rules.due.decide`. Faults that it does not see, such as a weak signature, are
found here and make the row due (:func:`wanted`), once for each kind: a new certificate may have the same fault.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address
from shlex import quote

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from common.certificate import (
    Bundle,
    chain_faults,
    extended_usages,
    not_after,
    not_before,
    readable_extension,
    subject_text,
    weak_hash,
    weak_key,
)
from common.check_line import Level, Line
from common.clock import duration_text, utc_text
from common.errors import CertfleetError
from common.revocation.state import Revocation
from issuer.model.audit import Audited, Finding, Kind, Severity
from issuer.model.config import RenewalSettings
from issuer.model.enrolment import Enrolment
from issuer.model.hosts import Standing
from issuer.model.leaf import Damaged
from issuer.rules.due import MISFIT, spoilt
from issuer.rules.health import key_is_known
from issuer.rules.hosts import words, worst_first
from issuer.rules.imported import how_to_renew, runs_out
from issuer.rules.lifetime import lives_too_long, most_days, seconds_of_life
from issuer.rules.renewal import is_overdue, remaining, renewal_moment
from issuer.rules.revoked import evidence as revoked_by
from issuer.rules.revoked import key_is_known as says_key_is_known

_DAY = 86400
AUDIT_EVERY = 7 * _DAY  # seconds between two audits of one certificate that stays the same
ASK_AGAIN = 20 * 3600  # seconds until a CA that gave no answer is asked again: by the daily run, also if it is early
_MOST_HOSTS = 20  # of one certificate, with a finding each: an account may report any number
_CLOCKS = 3600  # seconds by which the clock of a CA may be ahead of ours
_LATE = (Kind.EXPIRED, Kind.ENDS_SOON)
# for these the row is due already (rules/due.py), or a person has to act first
_NOT_ORDERED = (*_LATE, Kind.KEY, Kind.DAMAGED, Kind.COMPROMISED)
_TOLD_OTHERWISE = (*_NOT_ORDERED, Kind.REVOKED)


def of_certificate(
    row: Enrolment,
    now: int,
    policy: RenewalSettings,
    *,
    imported_days: int = 3,
    revocation: Revocation = Revocation(),  # noqa: B008 - it is frozen
) -> list[Finding]:
    """The findings about the stored certificate of *row* and its chain, the worst first; none without a certificate.
    *imported_days*: how many days before its end an imported one is critical. *revocation*: what its CA says."""
    if not row.crt:
        return []
    bundle = row.bundle
    found = [*_of_row(row, revocation), *_of_end(row, now, policy, imported_days)]
    if isinstance(bundle, Damaged):
        found.append(_critical(row, Kind.DAMAGED, f"it cannot be read: {bundle.why}", curable=True))
    else:
        found += [*_of_leaf(row, bundle, now), *_of_chain(row, bundle, now, policy)]
    return completed(row, found, now)


def of_doubt(name: str, doubt: CertfleetError | None) -> list[Finding]:
    """The finding that the row of *name* is not what an operator enrolled, or is gone, or its certificate is not the
    one that was signed last."""
    if doubt is None:
        return []
    return [Finding(name, Kind.NOT_OURS, Severity.CRITICAL, str(doubt), doubt.hint, about=name)]


def of_hosts(row: Enrolment, standings: Iterable[Standing], now: int) -> list[Finding]:
    """A finding for each host that is not well, of very many for the first few of each account, and one that counts the
    others. *standings*: those hosts."""
    hint = "look at its agent: `certfleet-agent status` and `check` on that host"
    ranked = worst_first(standings)
    found = [
        Finding(row.name, Kind.HOST, Severity.CRITICAL, f"{one.report.host}: {words(one, now)}", hint)
        for one in ranked[:_MOST_HOSTS]
    ]
    if more := len(ranked) - len(found):
        others = f"{more} more of its hosts {'is' if more == 1 else 'are'} not well"
        found.append(Finding(row.name, Kind.HOST, Severity.CRITICAL, others, "`status --hosts --failing` lists them"))
    return found


def of_lines(row: Enrolment, kind: Kind, lines: Iterable[Line]) -> list[Finding]:
    """The findings of `check` that are not well, as findings of that *kind*."""
    severity = {Level.BAD: Severity.CRITICAL, Level.WARN: Severity.WARNING}
    return [
        Finding(row.name, kind, severity[line.level], f"{line.subject}: {line.sentence}", line.hint, about=line.subject)
        for line in lines
        if line.level in severity
    ]


def wanted(row: Enrolment, found: Collection[Finding], now: int) -> frozenset[Kind]:
    """The kinds among *found* for which a new certificate is to be ordered now, beside what is due anyway: it cures
    them, and none was ordered for them yet."""
    return frozenset() if row.reissue_reason else fixable(row, found, now) - {*_NOT_ORDERED}


def fixable(row: Enrolment, found: Collection[Finding], now: int) -> frozenset[Kind]:
    """The kinds among *found* that a person may have cured at once, due or not. None of a row that is disabled,
    imported or muted, and none that the certificate before had too."""
    if not row.enabled or row.imported or row.watch.keeps(now):
        return frozenset()
    return frozenset(one.kind for one in found if one.curable and one.kind.value not in row.watch.served)


def outcome(row: Enrolment, found: Collection[Finding], ordered: Collection[Kind], at: int) -> Audited:
    """The traces that an audit with these findings leaves in *row*. *ordered*: the kinds for which a new certificate is
    ordered. *at*: the next audit."""
    kinds = {one.kind.value for one in found}
    again = row.watch.served | {kind.value for kind in ordered if kind not in _NOT_ORDERED}
    told = ", ".join(kind.value for kind in Kind if kind in ordered)
    why = f"the audit found: {told}" if told else ""
    return Audited(at, tuple(sorted(kinds)), tuple(sorted(kinds & again)), why)


def of_audit_only(found: Iterable[Finding]) -> list[Finding]:
    """The findings of which people hear by nothing else: `run` tells of an end and of a foreign key by itself, and a
    revoked certificate is news of its own."""
    return [one for one in found if one.kind not in _TOLD_OTHERWISE]


def is_worse(row: Enrolment, news: Iterable[Finding]) -> bool:
    """Is any of *news*, as of :func:`of_audit_only`, of a kind that the audit before had not found in *row*?"""
    return not {one.kind.value for one in news} <= row.watch.found


def is_over(row: Enrolment, news: Iterable[Finding]) -> bool:
    """Is nothing left of what the audit before had found in *row* for such *news*?"""
    return not any(news) and not row.watch.found <= {kind.value for kind in _TOLD_OTHERWISE}


def of_revocation(found: Iterable[Finding]) -> list[Finding]:
    """The findings that are told at once, by a mail of their own; none where the certificate is not revoked."""
    urgent = [one for one in found if one.kind in (Kind.REVOKED, Kind.COMPROMISED)]
    return urgent if any(one.kind is Kind.REVOKED for one in urgent) else []


def usual_audit(name: str, now: int) -> int:
    """When certificates that are audited now together with *name* are audited again (epoch seconds), unless a moment
    of theirs comes before: in half a week to a week, so that a fleet is not looked at in one run."""
    spread = int.from_bytes(hashlib.sha256(f"{name} {now}".encode()).digest()[:4], "big") / 2**32
    return now + int(AUDIT_EVERY * (1 + spread) / 2)


def next_audit(row: Enrolment, usual: int, now: int, policy: RenewalSettings) -> int:
    """*usual*, or a sooner moment: a mute ends, or from then on a member of the chain of *row* ends too soon."""
    bundle = row.bundle
    ends = [] if isinstance(bundle, Damaged) else [moment for _, moment in _earlier_ends(row, bundle, policy)]
    return min([usual, *(moment for moment in (row.watch.muted_until, *ends) if moment > now)])


def of_names(
    row: Enrolment, addresses: Mapping[str, Collection[str] | str], hosts: Mapping[str, Collection[str]]
) -> list[Finding]:
    """The findings about the *addresses* of each name, by which clients find it; a sentence where they could not be
    looked up. *hosts*: the addresses of each host that reports. They are compared where every host has one that the
    whole Internet knows: a name behind a balancer has others, and so has a host behind NAT."""
    found = []
    ours = {one for some in hosts.values() for one in some}
    comparable = bool(hosts) and all(any(ip_address(one).is_global for one in some) for some in hosts.values())
    for name, some in addresses.items():
        if isinstance(some, str):
            hint = "a name server of its zone does not answer; if only this machine cannot ask, set resolvers in [dns]"
            text = f"{name} cannot be looked up: {some}"
            found.append(Finding(row.name, Kind.UNRESOLVED, Severity.WARNING, text, hint, about=name))
        elif not some:
            hint = "no client finds it: give it an address, or leave the name out of the next CSR"
            text = f"{name} has no address"
            found.append(Finding(row.name, Kind.UNRESOLVED, Severity.WARNING, text, hint, about=name))
        elif comparable and not ours.intersection(some):
            shown, served = ", ".join(sorted(some)), ", ".join(sorted(hosts))
            text = f"{name} is at {shown}, and none of these is an address of a host that reports it ({served})"
            hint = "nothing if a balancer is in front; else the name has moved: give its new host the certificate"
            found.append(Finding(row.name, Kind.ELSEWHERE, Severity.WARNING, text, hint, about=name))
    return found


def completed(row: Enrolment, found: Iterable[Finding], now: int) -> list[Finding]:
    """*found*, the worst first, each with what to do about it and whom to ask."""
    told = [replace(one, remedy=one.remedy or _remedy(row, one, now), contact=row.watch.contact) for one in found]
    order = list(Kind)
    return sorted(told, key=lambda one: (one.severity is Severity.WARNING, order.index(one.kind)))


def _critical(row: Enrolment, kind: Kind, evidence: str, *, curable: bool = False) -> Finding:
    return Finding(row.name, kind, Severity.CRITICAL, evidence, curable=curable)


def _warning(row: Enrolment, kind: Kind, evidence: str, *, curable: bool = False) -> Finding:
    return Finding(row.name, kind, Severity.WARNING, evidence, curable=curable)


def _of_row(row: Enrolment, revocation: Revocation) -> Iterator[Finding]:
    if revoked := revoked_by(row, revocation):
        yield _critical(row, Kind.REVOKED, revoked, curable=True)
    if key_is_known(row) or says_key_is_known(revocation):
        yield _critical(row, Kind.COMPROMISED, "its key was revoked as compromised")
    if row.is_misfit:
        yield _critical(row, Kind.KEY, MISFIT, curable=True)


def _of_end(row: Enrolment, now: int, policy: RenewalSettings, imported_days: int) -> Iterator[Finding]:
    """An end that is near is critical with an eighth of the life left, and of an imported one by its own days."""
    if row.life is None:
        return
    left, ends = row.ends - now, utc_text(row.ends)
    if left <= 0:
        yield _critical(row, Kind.EXPIRED, f"it expired at {ends}", curable=True)
        return
    rest = remaining(row, now)
    is_near = left <= imported_days * _DAY if row.imported else rest is not None and rest.little
    if is_near or runs_out(row, now, policy) or is_overdue(row, now, policy):
        make = _critical if is_near else _warning
        yield make(row, Kind.ENDS_SOON, f"it ends at {ends}, in {duration_text(left)}", curable=True)


def _of_leaf(row: Enrolment, bundle: Bundle, now: int) -> Iterator[Finding]:
    leaf = bundle.leaf
    if not_before(leaf) > now + _CLOCKS:
        text = f"it is not valid before {utc_text(not_before(leaf))}"
        yield _critical(row, Kind.NOT_YET_VALID, text, curable=True)
    if leaf.issuer == leaf.subject:
        yield _critical(row, Kind.SELF_SIGNED, "it is self-signed", curable=True)
    if not list(readable_extension(leaf, x509.SubjectAlternativeName) or ()):
        text = "it has no subject alternative name, and clients look at no other name"
        yield _critical(row, Kind.NO_NAMES, text, curable=True)
    if (usages := extended_usages(leaf)) is None:
        text = "it has no extended key usage: some clients take no server without serverAuth"
        yield _warning(row, Kind.NO_SERVER_AUTH, text, curable=True)
    elif not usages & {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}:
        yield _critical(row, Kind.NO_SERVER_AUTH, "its extended key usage is without serverAuth", curable=True)
    if weak := weak_key(leaf.public_key()):
        # a new certificate for the same CSR has the same key
        yield _critical(row, Kind.WEAK_KEY, f"its key is weak: {weak}")
    if lives_too_long(leaf):
        days, most = -(-seconds_of_life(leaf) // _DAY), most_days(leaf)
        text = f"it lives for {days} days, and a public CA may give {most} days at most (ballot SC-081)"
        yield _warning(row, Kind.TOO_LONG, text, curable=True)


def _of_chain(row: Enrolment, bundle: Bundle, now: int, policy: RenewalSettings) -> Iterator[Finding]:
    for number, certificate in enumerate((bundle.leaf, *bundle.chain)):
        what = _which(number, certificate)
        if hashed := weak_hash(certificate):
            yield _critical(row, Kind.WEAK_SIGNATURE, f"{what} is signed with {hashed}", curable=True)
        if number and (weak := weak_key(certificate.public_key())):
            yield _critical(row, Kind.WEAK_KEY, f"the key of {what} is weak: {weak}", curable=True)
        if number and not_before(certificate) > now + _CLOCKS:
            text = f"{what} is not valid before {utc_text(not_before(certificate))}"
            yield _critical(row, Kind.NOT_YET_VALID, text, curable=True)
    for text in chain_faults(bundle):
        yield _critical(row, Kind.CHAIN, text, curable=True)
    for number, moment in _earlier_ends(row, bundle, policy):
        certificate = bundle.chain[number - 1]
        ends, what = not_after(certificate), _which(number, certificate)
        if ends <= now:
            yield _critical(row, Kind.CHAIN_ENDS, f"{what} expired at {utc_text(ends)}", curable=True)
        elif moment <= now:
            text = f"{what} ends at {utc_text(ends)}, before the certificate itself"
            yield _warning(row, Kind.CHAIN_ENDS, text, curable=True)


def _earlier_ends(row: Enrolment, bundle: Bundle, policy: RenewalSettings) -> Iterator[tuple[int, int]]:
    """(place in the chain from 1, moment) of each member that ends before the leaf does. From that moment (epoch
    seconds) on, a certificate that ended with it would be renewed."""
    starts, ends = not_before(bundle.leaf), not_after(bundle.leaf)
    for number, certificate in enumerate(bundle.chain, start=1):
        if not_after(certificate) < ends:
            yield number, renewal_moment(row.name, starts, max(starts + 1, not_after(certificate)), policy)


def _which(number: int, certificate: x509.Certificate) -> str:
    return f"the chain's certificate {number} ({subject_text(certificate)})" if number else "it"


def _remedy(row: Enrolment, one: Finding, now: int) -> str:
    name = quote(row.name)
    if row.imported:
        return how_to_renew(row)
    if not one.curable:
        return f"make a new key and CSR on the host, then `populate --replace {name} --csr FILE`"
    if not row.enabled:
        return f"it is disabled, so nothing renews it: `enable {name}`, or `issue {name}` now"
    if row.watch.keeps(now) and one.kind not in _NOT_ORDERED:
        return f"it is muted until {utc_text(row.watch.muted_until)}: `issue {name}` replaces it all the same"
    if one.kind is Kind.KEY and not spoilt(row):
        return f"`issue {name}` makes one for the key of the CSR"
    if one.kind.value in row.watch.served and not row.reissue_reason:
        return f"a new certificate was ordered for that and has it too: ask the CA, then `issue {name}`"
    return f"the next `run` replaces it, `issue {name}` now"
