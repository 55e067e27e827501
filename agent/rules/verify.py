"""The conditions that a certificate must meet before a live file is touched. Pure: facts in, all findings out.

The service's own config test is no substitute: with a key that does not fit, Apache's test passes and its graceful
reload then takes the server down.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from common.certificate import (
    Bundle,
    certified_names,
    chain_faults,
    fingerprint,
    load_certificates,
    not_after,
    not_before,
    spki_sha256,
    validity_faults,
)
from common.clock import utc_text
from common.errors import Finding
from common.names import uncovered

EQUAL_WITHIN = 3600  # seconds: a reissue on the same day may end a little earlier than what it replaces


@dataclass(frozen=True, slots=True)
class InstalledCertificate:
    """The dates of what is installed now, in epoch seconds, and its fingerprint."""

    sha256: str
    not_before: int
    not_after: int


def installed_in(contents: Iterable[bytes], key_spki_sha256: str) -> InstalledCertificate | None:
    """The leaf in *contents* of live files if it is from a CA and for this key; a placeholder is nothing to compare
    with."""
    for content in contents:
        try:
            found = load_certificates(content)
        except ValueError:
            continue
        if found and spki_sha256(found[0].public_key()) == key_spki_sha256 and found[0].issuer != found[0].subject:
            return InstalledCertificate(fingerprint(found[0]), not_before(found[0]), not_after(found[0]))
    return None


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
        findings.append(Finding("age", f"it ends at {ends}, before the installed one ({installed_ends})"))
    return findings


def _is_older(bundle: Bundle, installed: InstalledCertificate) -> bool:
    """Does it end earlier, without having been issued later? A move to short-lived certificates is not a step back."""
    if fingerprint(bundle.leaf) == installed.sha256:
        return False
    ends_earlier = not_after(bundle.leaf) < installed.not_after - EQUAL_WITHIN
    issued_later = not_before(bundle.leaf) > installed.not_before + EQUAL_WITHIN
    return ends_earlier and not issued_later
