"""What the install journey needs of a source, whatever database it is."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Mark:
    """The answer to the cheap question: when was this certificate last changed? It decides whether to fetch at all."""

    updated: int
    expires: int

    @property
    def is_waiting(self) -> bool:
        """`populate` writes 1: the name is enrolled and the issuer has not obtained a certificate yet."""
        return self.updated <= 1


@dataclass(frozen=True, slots=True)
class Offer:
    """Leaf and chain in PEM, as the database holds them; *leaf_pem* is empty before the first issue."""

    leaf_pem: bytes
    chain_pem: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """What this host tells the central side about one certificate; *reported_at* in epoch seconds."""

    name: str
    host: str
    sha256: str
    not_after: int
    state: str
    detail: str
    reported_at: int


class Source(Protocol):
    """Every method raises SourceError when the source cannot be asked or refuses."""

    def mark(self, name: str) -> Mark | None:
        """The cheap question; None if the name is not enrolled."""

    def fetch(self, name: str) -> Offer | None:
        """Leaf and chain; None if the name is not enrolled."""

    def older_on_purpose(self, name: str) -> str:
        """SHA-256 of the certificate that `certfleet-issuer rollback` went back to; "" when it did not."""

    def report(self, report: Report) -> None:
        """Write this host's own row, replacing the one before."""

    def close(self) -> None:
        """Let the connection go; may be called twice."""
