"""The conditions that a certificate must meet before a live file is touched. Pure: facts in, all findings out.

The service's own config test is no substitute: with a key that does not fit, Apache's test passes and its graceful
reload then takes the server down.
"""

import contextlib
from collections.abc import Iterable, Sequence

from cryptography import x509

from common.certificate import (
    Bundle,
    certified_names,
    chain_faults,
    fingerprint,
    is_ca,
    is_signed_by,
    load_certificates,
    not_after,
    not_before,
    spki_sha256,
    validity_faults,
)
from common.clock import utc_text
from common.dataclasses import dataclass
from common.errors import Finding
from common.names import uncovered

EQUAL_WITHIN = 3600  # seconds: CAs date a certificate back by up to an hour, each by its own measure


@dataclass(frozen=True, slots=True)
class InstalledCertificate:
    """The dates of what is installed now, in epoch seconds, and its fingerprint."""

    sha256: str
    not_before: int
    not_after: int


def installed_in(contents: Iterable[bytes], key_spki_sha256: str, *, placeholder: bool = False) -> Bundle | None:
    """The certificate for this key in *contents* of live files, with those of its CAs that are found there; None where
    none is from a CA: a placeholder is nothing to compare with. With *placeholder* one that signs itself counts too."""
    found: list[x509.Certificate] = []
    for content in contents:
        with contextlib.suppress(ValueError):
            found += load_certificates(content)
    mine = (one for one in found if spki_sha256(one.public_key()) == key_spki_sha256)
    leaf = next((one for one in mine if placeholder or one.issuer != one.subject), None)
    return None if leaf is None else Bundle(leaf, issuers_in(found, leaf))


def leaf_in(contents: Iterable[bytes]) -> x509.Certificate | None:
    """The certificate of a server in *contents* of live files, whosever key it is for; None where none is from a CA."""
    for content in contents:
        with contextlib.suppress(ValueError):
            for one in load_certificates(content):
                if one.issuer != one.subject and not is_ca(one):
                    return one
    return None


def issuers_in(pool: Sequence[x509.Certificate], leaf: x509.Certificate) -> tuple[x509.Certificate, ...]:
    """The CAs above *leaf* that are in *pool*, by their signatures, nearest first."""
    path = [leaf]
    while above := [one for one in pool if one not in path and is_ca(one) and is_signed_by(path[-1], one)]:
        path.append(above[0])
    return tuple(path[1:])


def installed_facts(bundle: Bundle) -> InstalledCertificate:
    """The facts of *bundle* by which another certificate is called older."""
    return InstalledCertificate(fingerprint(bundle.leaf), not_before(bundle.leaf), not_after(bundle.leaf))


def leaf_faults(leaf: x509.Certificate) -> list[str]:
    """Sentences about what browsers refuse in a server's certificate and OpenSSL does not; empty when all is well."""
    return ["it is the certificate of a CA, not of a server"] if is_ca(leaf) else []


def to_be_shown(bundle: Bundle) -> tuple[str, ...]:
    """The digests of the certificates that a service must show beside the leaf: all of the chain but a root."""
    return tuple(fingerprint(one) for one in bundle.chain if one.issuer != one.subject)


@dataclass(frozen=True, slots=True)
class Expectation:
    """The key, the names and the age that a new certificate must have on this host."""

    key_spki_sha256: str
    names: frozenset[str]
    installed: InstalledCertificate | None = None


def verify(bundle: Bundle, expected: Expectation, now: float) -> list[Finding]:
    """Every reason not to install *bundle*; empty when there is none."""
    leaf = bundle.leaf
    findings = []
    offered_key = spki_sha256(leaf.public_key())
    if offered_key != expected.key_spki_sha256:
        problem = f"it belongs to another key ({offered_key[:16]}…) than this host's ({expected.key_spki_sha256[:16]}…)"
        findings.append(Finding("key", problem))
    missing = uncovered(expected.names, certified_names(leaf))
    if missing:
        carried = ", ".join(sorted(certified_names(leaf))) or "no name"
        findings.append(Finding("names", f"it does not cover {', '.join(missing)}; it carries {carried}"))
    findings += (Finding("dates", fault) for fault in validity_faults(bundle, now))
    findings += (Finding("chain", fault) for fault in chain_faults(bundle))
    if expected.installed is not None and _is_older(bundle, expected.installed):
        ends, installed_ends = utc_text(not_after(leaf)), utc_text(expected.installed.not_after)
        problem = f"it was issued earlier and ends at {ends}, before the installed one ({installed_ends})"
        findings.append(Finding("age", problem))
    return findings


def _is_older(bundle: Bundle, installed: InstalledCertificate) -> bool:
    """Was it issued earlier, and does it end earlier? What is issued later, however short its life, is no step back;
    nor is one that was bought earlier and ends later."""
    if fingerprint(bundle.leaf) == installed.sha256:
        return False
    issued_earlier = not_before(bundle.leaf) < installed.not_before - EQUAL_WITHIN
    ends_earlier = not_after(bundle.leaf) < installed.not_after - EQUAL_WITHIN
    return issued_earlier and ends_earlier
