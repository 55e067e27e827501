"""One row of ``certs`` as a frozen value. Times are epoch seconds."""

import dataclasses
from dataclasses import dataclass

from issuer.model.failure import Failure


@dataclass(frozen=True, slots=True)
class Validation:
    """How the names of a row are to be validated, as the classic columns say it; *certbot*: is it Y?

    A challenge type knows from this value whether the row is its own.
    """

    certbot: bool = False
    webroot_path: str = ""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One row of ``certs``: a certificate that is kept fresh, and its last one if there is any."""

    name: str
    enabled: bool
    validation: Validation
    csr: bytes
    crt: bytes
    ca: bytes
    ts_expire: int
    ts_last_update: int
    failures: int
    due_at: int | None
    reissue_reason: str
    directory: str = ""  # the CA that issued the present certificate; "" is not known
    imported: bool = False  # comes from outside: watched, never renewed
    revoked: bool = False  # the present certificate, by us
    failure: Failure | None = None  # of the last attempt; None after a success
    ari_at: int | None = None  # the moment drawn in the CA's suggested window
    ari_window: tuple[int, int] | None = None  # start and end of that window
    rolled_back: str = ""  # SHA-256 of the present certificate, when it was made older on purpose
    ari_ask_at: int | None = None  # None: the CA offers no renewal information, as far as we know
    compromised: frozenset[str] = frozenset()  # SHA-256 of the public keys of this name that others know

    @property
    def failing(self) -> bool:
        """Did our last attempt fail? (A count without a reason is what old scripts left, and says nothing of today.)"""
        return self.failures > 0 and self.failure is not None

    def asked_again(self, at: int) -> "Enrolment":
        """The same row, whose CA is to be asked for renewal information at *at*."""
        return dataclasses.replace(self, ari_ask_at=at)
