"""Judge a certificate by a certificate revocation list (RFC 5280 §5, §6.3). Pure: bytes and a clock.

Lists are often sharded: the CA spreads its certificates over many lists, and each list names the URL that it is for.
A list of another shard is soundly signed and silent about our certificate, so its scope is judged before its content.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from cryptography import x509

from common.certificate import PARSE_ERRORS, extension, is_ca, subject_text
from common.dataclasses import dataclass
from common.pem import is_der
from common.revocation.state import Revocation, fault_of_dates, unknown

_LOW = 2**64 - 1  # the bits of a serial number that nearly always tell it apart


@dataclass(frozen=True, slots=True)
class Source:
    """One URL of a list, and every name that the certificate gives to the same list (its distribution point).
    *some_reasons*: the list there is about some reasons for revocation alone."""

    url: str
    names: frozenset[str]
    some_reasons: bool = False


def sources(leaf: x509.Certificate) -> list[Source]:
    """The sources of the lists of *leaf*, by http. RFC 5280 §8 warns of https: its certificate would have to be checked
    first. A list that another authority keeps (cRLIssuer) is none of the issuer's. Raises one of PARSE_ERRORS."""
    points = extension(leaf.extensions, x509.CRLDistributionPoints) or ()
    return [
        Source(url, names, point.reasons is not None)
        for point in points
        if not point.crl_issuer
        for names in [_urls(point.full_name)]
        for url in sorted(names)
        if url.lower().startswith("http://")
    ]


class RevocationList:
    """The list in *content* (DER, or PEM), for questions about many certificates: it is parsed once, its signature is
    proven once, and a serial number is not looked for from its begin to its end. Raises one of PARSE_ERRORS."""

    def __init__(self, content: bytes):
        self.crl = x509.load_der_x509_crl(content) if is_der(content) else x509.load_pem_x509_crl(content)
        self._signed_by: dict[x509.Certificate, bool] = {}

    def is_signed_by(self, issuer: x509.Certificate) -> bool:
        """Raises one of PARSE_ERRORS for a key that signs nothing."""
        if issuer not in self._signed_by:
            key: Any = issuer.public_key()
            self._signed_by[issuer] = self.crl.is_signature_valid(key)
        return self._signed_by[issuer]

    def entry(self, serial_number: int) -> x509.RevokedCertificate | None:
        """The entry of the certificate with that number."""
        short = serial_number & _LOW
        place = bisect_left(self._shortened, short)
        if place == len(self._shortened) or self._shortened[place] != short:
            return None
        return self.crl.get_revoked_certificate_by_serial_number(serial_number)

    @cached_property
    def _shortened(self) -> "array[int]":
        """The low bits of each serial number, in order: eight bytes for each, where a set would take a hundred."""
        return array("Q", sorted(entry.serial_number & _LOW for entry in self.crl))


def judge(
    found: RevocationList, leaf: x509.Certificate, issuer: x509.Certificate, source: Source, now: float
) -> Revocation:
    """Judge *leaf* at *now* (epoch seconds) by the list that was *found*. Never raises: a list that does not count is a
    problem of the result."""
    try:
        fault = next(_faults(found, leaf, issuer, source, now), "")
        if fault:
            return unknown(source.url, fault)
        return _verdict(found, leaf, source)
    except PARSE_ERRORS as error:
        return no_list(source.url, error)


def no_list(url: str, error: Exception) -> Revocation:
    """The answer of *url* cannot be parsed."""
    return unknown(url, f"what it sends is no revocation list ({type(error).__name__})")


def _verdict(found: RevocationList, leaf: x509.Certificate, source: Source) -> Revocation:
    entry, until, scope = found.entry(leaf.serial_number), found.crl.next_update_utc, _scope(found.crl)
    fresh_until = int(until.timestamp()) if until else None
    if entry is None:
        if source.some_reasons or (scope is not None and scope.only_some_reasons):
            return unknown(source.url, "the list is about some reasons for revocation alone")
        return Revocation((source.url,), available=True, revoked=False, fresh_until=fresh_until, by=source.url)
    reason, odd = _of_entry(entry)
    if odd:
        return unknown(source.url, f"its entry in the list has a critical extension that is not understood ({odd})")
    if reason == x509.ReasonFlags.remove_from_crl.value:
        return unknown(source.url, "the list takes its revocation back, which only a list of changes may")
    since = int(entry.revocation_date_utc.timestamp())
    return Revocation((source.url,), True, True, since, reason, fresh_until, source.url)


def _of_entry(entry: x509.RevokedCertificate) -> tuple[str, str]:
    """The reason that *entry* gives, "" for none; and the first critical extension of it that says something else, as
    the issuer of a certificate in the list of somebody else (RFC 5280 §5.3.3), "" for none."""
    try:
        extensions = list(entry.extensions)
    except PARSE_ERRORS:  # it is revoked, whatever else is in the entry
        return "", ""
    reasons = [one.value.reason.value for one in extensions if isinstance(one.value, x509.CRLReason)]
    known = (x509.CRLReason, x509.InvalidityDate)
    odd = [one.oid.dotted_string for one in extensions if one.critical and not isinstance(one.value, known)]
    return "".join(reasons[:1]), "".join(odd[:1])


def _faults(
    found: RevocationList, leaf: x509.Certificate, issuer: x509.Certificate, source: Source, now: float
) -> Iterator[str]:
    """Each reason why the list does not count, the weightiest first."""
    crl = found.crl
    if crl.issuer != issuer.subject:
        yield f"the list is not that of {subject_text(issuer)!r}"
    elif not _may_sign_lists(issuer):
        yield f"{subject_text(issuer)!r} may not sign revocation lists"
    elif not found.is_signed_by(issuer):
        yield f"the list is not signed by {subject_text(issuer)!r}"
    extensions = list(crl.extensions)
    if any(isinstance(one.value, x509.DeltaCRLIndicator) for one in extensions):
        yield "the list has only what has changed since another list (a delta CRL)"
    known = (x509.IssuingDistributionPoint,)
    if odd := [one for one in extensions if one.critical and not isinstance(one.value, known)]:
        yield f"the list has a critical extension that is not understood ({odd[0].oid.dotted_string})"
    yield from _faults_of_scope(_scope(crl), leaf, source)
    if crl.next_update_utc is None:
        yield "the list does not say until when it is good"
    elif fault := fault_of_dates("the list", crl.last_update_utc, crl.next_update_utc.timestamp(), now):
        yield fault


def _faults_of_scope(
    scope: x509.IssuingDistributionPoint | None, leaf: x509.Certificate, source: Source
) -> Iterator[str]:
    """RFC 5280 §6.3.3 (b) (2): does the list speak of this certificate at all?"""
    if scope is None:
        return
    if scope.indirect_crl:
        yield "the list is also about certificates of other issuers"
    if scope.only_contains_attribute_certs or (scope.only_contains_ca_certs and not is_ca(leaf)):
        yield "the list is not about certificates of servers"
    if scope.only_contains_user_certs and is_ca(leaf):
        yield "the list is not about certificates of CAs"
    if scope.relative_name is not None or (scope.full_name and not _urls(scope.full_name) & source.names):
        yield "the list is for other certificates of this issuer: it names another place than the certificate does"


def _scope(crl: x509.CertificateRevocationList) -> x509.IssuingDistributionPoint | None:
    return extension(crl.extensions, x509.IssuingDistributionPoint)


def _may_sign_lists(issuer: x509.Certificate) -> bool:
    usage = extension(issuer.extensions, x509.KeyUsage)
    return usage is None or usage.crl_sign


def _urls(names: object) -> frozenset[str]:
    found = names if isinstance(names, list) else []
    return frozenset(name.value for name in found if isinstance(name, x509.UniformResourceIdentifier))
