"""One row of ``certs`` as a frozen value. Times are epoch seconds."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property

from common.certificate import Bundle, leaf_validity
from issuer.model.csr import CsrFacts, csr_of
from issuer.model.failure import Failure
from issuer.model.leaf import Damaged, Leaf, bundle_of, leaf_of

NEVER_ISSUED = 1  # the most that *ts_expire* and *ts_last_update* hold before the first certificate


@dataclass(frozen=True, slots=True)
class Validation:
    """How the names of a row are to be validated, as the classic columns say it; *certbot*: is it Y?

    A challenge type knows from this value whether the row is its own.
    """

    certbot: bool = False
    webroot_path: str = ""


@dataclass(frozen=True)
class Enrolment:
    """One row of ``certs``: a certificate that is kept fresh, and its last one if there is any.

    *csr*, *crt* and *ca* are PEM as it stands in the table; :attr:`request` and :attr:`present` are what they say,
    parsed when somebody asks first, because most rows of a large table are only counted.
    """

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
    md5_modulus: str = ""  # of the CSR's key, as an old script or we wrote it
    compromised: frozenset[str] = frozenset()  # SHA-256 of the public keys of this name that others know

    @cached_property
    def present(self) -> Leaf | Damaged | None:
        """The present certificate; None before the first one."""
        return leaf_of(self.crt) if self.crt else None

    @cached_property
    def request(self) -> CsrFacts | Damaged:
        """The signing request, whether or not a CA would take it."""
        return csr_of(self.csr)

    @property
    def key_sha256(self) -> str:
        """SHA-256 of the public key of the CSR, or where there is none of the certificate; "" for a damaged one."""
        holder = self.request if self.csr else self.present
        return "" if holder is None or isinstance(holder, Damaged) else holder.spki_sha256

    @property
    def bundle(self) -> Bundle | Damaged:
        """The present certificate with its chain, to be handed on or looked through."""
        return bundle_of(self.crt, self.ca)

    @property
    def life(self) -> tuple[int, int] | None:
        """Start and end of the present certificate, in a fifth of the time that :attr:`present` takes: for a list of
        all rows. None where there are none that can be read."""
        try:
            return leaf_validity(self.crt)
        except ValueError:
            return None

    @property
    def failing(self) -> bool:
        """Did our last attempt fail? (A count without a reason is what old scripts left, and says nothing of today.)"""
        return self.failures > 0 and self.failure is not None

    def asked_again(self, at: int) -> "Enrolment":
        """The same row, whose CA is to be asked for renewal information at *at*."""
        return dataclasses.replace(self, ari_ask_at=at)
