"""Does a socket show the certificate that the database has for its name? Pure."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum

from cryptography import x509

from common.certificate import certified_names, fingerprint, not_before, parse_bundle, serial_text, spki_sha256
from common.clock import utc_text
from common.dataclasses import dataclass
from common.names import covers


class Match(Enum):
    """The verdict in one word."""

    MATCH = "match"
    MISMATCH = "mismatch"
    NOT_VERIFIABLE = "not verifiable"


@dataclass(frozen=True, slots=True)
class Verdict:
    """*why*: a sentence, "" for a match; *name*: of the stored certificate that the verdict is about, "" for none."""

    match: Match
    why: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """The present certificate of *name* in the database. *earlier*: SHA-256 of those that were stored before it."""

    name: str
    leaf: x509.Certificate
    earlier: frozenset[str] = frozenset()

    def is_for(self, host: str) -> bool:
        """Does it cover *host*?"""
        return any(covers(pattern, host) for pattern in certified_names(self.leaf))


Lookup = Callable[[Mapping[str, frozenset[str]]], Mapping[str, Sequence[Stored]]]
"""Takes hosts, each with the SHA-256 of the certificates that it shows; returns the certificates that the database has
for each, by one question for all. Raises CertfleetError where the database cannot be asked."""


def stored_of(name: str, leaf_pem: bytes) -> Iterator[Stored]:
    """The certificate in a PEM text; none for a text without one or a damaged one, which others report."""
    with contextlib.suppress(ValueError):
        yield Stored(name, parse_bundle(leaf_pem).leaf)


def stored_for(
    hosts: Mapping[str, frozenset[str]], likely: Iterable[Stored], everything: Callable[[], Iterable[Stored]]
) -> dict[str, list[Stored]]:
    """The certificates for each of *hosts*, which have the form of a Lookup. *likely*: those found by their names.
    *everything* is looked through only if some host shows another certificate: there may be a hundred thousand."""
    first = list(likely)
    found = {host: {one.name: one for one in first if one.is_for(host)} for host in hosts}
    rest = [host for host, shown in hosts.items() if shown - {fingerprint(one.leaf) for one in found[host].values()}]
    for one in everything() if rest else ():
        for host in rest:
            if one.is_for(host):
                found[host].setdefault(one.name, one)
    return {host: list(some.values()) for host, some in found.items()}


def unverifiable(why: str) -> Verdict:
    """The verdict on a certificate that cannot be compared with the database; *why*: a sentence."""
    return Verdict(Match.NOT_VERIFIABLE, why)


def verdict(shown: x509.Certificate, stored: Sequence[Stored]) -> Verdict:
    """The verdict on *shown*. *stored*: all certificates for the name that was asked for; it may have two, one for each
    type of key."""
    if not stored:
        return unverifiable("the database has no certificate for this name")
    digest, key = fingerprint(shown), spki_sha256(shown.public_key())
    if same := [one for one in stored if fingerprint(one.leaf) == digest]:
        return Verdict(Match.MATCH, name=same[0].name)
    nearest = next((one for one in stored if digest in one.earlier), None)
    if nearest is not None:
        return Verdict(Match.MISMATCH, f"it is an earlier one; {_present(nearest)}", nearest.name)
    nearest = next((one for one in stored if spki_sha256(one.leaf.public_key()) == key), None)
    if nearest is None:
        return Verdict(Match.MISMATCH, f"it has another key; {_present(stored[0])}", stored[0].name)
    age = "older" if not_before(shown) < not_before(nearest.leaf) else "newer"
    return Verdict(Match.MISMATCH, f"it is {age}, with the same key; {_present(nearest)}", nearest.name)


def _present(stored: Stored) -> str:
    since = utc_text(not_before(stored.leaf))
    return f"the database has serial {serial_text(stored.leaf)}, valid since {since}, as {stored.name}"
