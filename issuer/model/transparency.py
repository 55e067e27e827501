"""Nouns of Certificate Transparency (RFC 6962): what a log and a search show of certificates for our names. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from cryptography import x509

from common.certificate import certified_names, issuer_text, not_after, not_before, serial_text, spki_sha256


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed tree head: how many entries, the root of their tree, and when that was signed (epoch seconds)."""

    size: int
    root: bytes
    signed_at: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a log: the hash that it has in the tree (RFC 6962 §2.1), and a certificate with its key and names,
    None where it cannot be parsed. Of a precertificate that is a copy with another signature: the tree covers its
    content alone."""

    leaf_hash: bytes
    certificate: x509.Certificate | None


@dataclass(frozen=True, slots=True)
class Sighting:
    """A certificate for one of our names, *ours*, that somebody has issued. *where*: what showed it. *spki_sha256*
    identifies its key. Moments are epoch seconds."""

    ours: tuple[str, ...]
    names: tuple[str, ...]
    spki_sha256: str
    serial: str
    issuer: str
    starts: int
    ends: int
    where: str

    @property
    def identity(self) -> tuple[str, str, str]:
        """The same of a precertificate and its certificate."""
        return self.spki_sha256, self.issuer, self.serial


def sighting(certificate: x509.Certificate, ours: Iterable[str], where: str) -> Sighting:
    """Raises one of PARSE_ERRORS."""
    return Sighting(
        tuple(sorted(ours)),
        tuple(sorted(certified_names(certificate))),
        spki_sha256(certificate.public_key()),
        serial_text(certificate),
        issuer_text(certificate),
        not_before(certificate),
        not_after(certificate),
        where,
    )


@dataclass(frozen=True)
class OurNames:
    """The names whose certificates are our concern: *names* that are enrolled, and all at and below *domains*."""

    names: frozenset[str]
    domains: frozenset[str] = frozenset()

    @cached_property
    def _parents(self) -> frozenset[str]:
        return frozenset(name.partition(".")[2] for name in self.names if not name.startswith("*."))

    def among(self, names: Iterable[str]) -> list[str]:
        """The *names* of a certificate that concern us: one of ours, one that a wildcard of ours covers, a wildcard
        that covers one of ours."""
        return sorted(filter(self._is_ours, names))

    def _is_ours(self, name: str) -> bool:
        parent = name.partition(".")[2]
        if name in self.names or f"*.{parent}" in self.names or (name.startswith("*.") and parent in self._parents):
            return True
        labels = name.removeprefix("*.").split(".")
        return any(".".join(labels[start:]) in self.domains for start in range(len(labels)))
