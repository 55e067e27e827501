"""What passes between this host and the source of its certificates, whatever database that is."""

from dataclasses import dataclass


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
