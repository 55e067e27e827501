"""Judge a certificate by a certificate revocation list (RFC 5280 §5, §6.3). Pure: bytes and a clock.

Lists are often sharded: the CA spreads its certificates over many lists, and each list names the URL that it is for.
A list of another shard is soundly signed and silent about our certificate, so its scope is judged before its content.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from common.certificate import PARSE_ERRORS, is_ca, subject_text
from common.pem import is_der
from common.revocation.freshness import fault_of_dates
from common.revocation.state import Revocation, unknown


@dataclass(frozen=True, slots=True)
class Source:
    """One URL of a list, and every name that the certificate gives to the same list (its distribution point)."""

    url: str
    names: frozenset[str]


def sources(leaf: x509.Certificate) -> list[Source]:
    """Where the lists of *leaf* are, by http. RFC 5280 §8 warns of https: its certificate would have to be checked
    first. A list that another authority keeps (cRLIssuer) is none of the issuer's. Raises one of PARSE_ERRORS."""
    try:
        points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return []
    found = [(point, _urls(point.full_name)) for point in points if not point.crl_issuer]
    return [Source(url, names) for _, names in found for url in sorted(names) if url.lower().startswith("http://")]


def judge(content: bytes, leaf: x509.Certificate, issuer: x509.Certificate, source: Source, now: float) -> Revocation:
    """Judge *leaf* at *now* (epoch seconds) by the list in *content* (DER, or PEM). Never raises: a list that does not
    count is a problem of the result."""
    try:
        crl = x509.load_der_x509_crl(content) if is_der(content) else x509.load_pem_x509_crl(content)
        fault = next(_faults(crl, leaf, issuer, source, now), "")
        if fault:
            return unknown(source.url, fault)
        return _verdict(crl, leaf, source)
    except PARSE_ERRORS as error:
        return unknown(source.url, f"what it sends is no revocation list ({type(error).__name__})")


def _verdict(crl: x509.CertificateRevocationList, leaf: x509.Certificate, source: Source) -> Revocation:
    entry = crl.get_revoked_certificate_by_serial_number(leaf.serial_number)
    until = crl.next_update_utc
    fresh_until = int(until.timestamp()) if until else None
    if entry is None:
        if (scope := _scope(crl)) is not None and scope.only_some_reasons:
            return unknown(source.url, "the list is about some reasons for revocation alone")
        return Revocation((source.url,), available=True, revoked=False, fresh_until=fresh_until, by=source.url)
    since = int(entry.revocation_date_utc.timestamp())
    return Revocation((source.url,), True, True, since, _reason(entry), fresh_until, source.url)


def _reason(entry: x509.RevokedCertificate) -> str:
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
    except (x509.ExtensionNotFound, *PARSE_ERRORS):  # it is revoked, whatever else is in the entry
        return ""


def _faults(
    crl: x509.CertificateRevocationList, leaf: x509.Certificate, issuer: x509.Certificate, source: Source, now: float
) -> Iterator[str]:
    """Each reason why the list does not count, the weightiest first."""
    key: Any = issuer.public_key()  # one that signs nothing is a TypeError
    if crl.issuer != issuer.subject:
        yield f"the list is not that of {subject_text(issuer)!r}"
    elif not _may_sign_lists(issuer):
        yield f"{subject_text(issuer)!r} may not sign revocation lists"
    elif not crl.is_signature_valid(key):
        yield f"the list is not signed by {subject_text(issuer)!r}"
    known = (x509.IssuingDistributionPoint,)
    if odd := [one for one in crl.extensions if one.critical and not isinstance(one.value, known)]:
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
    try:
        return crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except x509.ExtensionNotFound:
        return None


def _may_sign_lists(issuer: x509.Certificate) -> bool:
    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True


def _urls(names: object) -> frozenset[str]:
    found = names if isinstance(names, list) else []
    return frozenset(name.value for name in found if isinstance(name, x509.UniformResourceIdentifier))
