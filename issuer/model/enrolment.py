"""One row of ``certs`` as a frozen value. Times are epoch seconds."""

from dataclasses import dataclass
from functools import cached_property

from common.certificate import Bundle, leaf_validity
from issuer.model.csr import CsrFacts, csr_of
from issuer.model.failure import Failure
from issuer.model.leaf import Damaged, Leaf, bundle_of, leaf_of

NEVER_ISSUED = 1  # the most in *ts_expire* and *ts_last_update* before the first certificate


@dataclass(frozen=True, slots=True)
class Validation:
    """How the names of a row are to be validated, as the classic columns say it. *certbot*: is it Y? A challenge type
    knows from this value whether the row is its own."""

    certbot: bool = False
    webroot_path: str = ""


@dataclass(frozen=True)
class Enrolment:
    """One row of ``certs``: a certificate that is kept fresh, and the present one if there is any. *csr*, *crt* and
    *ca* are PEM as in the table. :attr:`request` and :attr:`present` are parsed from them at first use, because most
    rows of a large table are only counted."""

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
    directory: str = ""  # of the CA that issued the present certificate; "" for unknown
    account: str = ""  # the account there that ordered it (issuer.ca.account.account_id); "" for unknown
    early: bool = False  # it was ordered long before our own moment, because of a window of the CA
    imported: bool = False  # bought elsewhere: looked at, never renewed
    revoked: bool = False  # we revoked the present certificate
    failure: Failure | None = None  # of the last attempt; None after a success
    ari_at: int | None = None  # the moment drawn in the CA's suggested window
    ari_window: tuple[int, int] | None = None  # start and end of that window
    rolled_back: str = ""  # SHA-256 of the present certificate after `rollback`
    ari_ask_at: int | None = None  # None: the CA offers no renewal information, as far as we know
    md5_modulus: str = ""  # of the CSR's key, by an old script or by us
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
        """SHA-256 of the public key of the CSR, without a CSR that of the certificate; "" for a damaged one."""
        holder = self.request if self.csr else self.present
        return "" if holder is None or isinstance(holder, Damaged) else holder.spki_sha256

    @property
    def bundle(self) -> Bundle | Damaged:
        """The present certificate with its chain."""
        return bundle_of(self.crt, self.ca)

    @property
    def life(self) -> tuple[int, int] | None:
        """Start and end of the present certificate (epoch seconds), five times faster than :attr:`present`, for lists
        of all rows. None where they cannot be read."""
        try:
            return leaf_validity(self.crt)
        except ValueError:
            return None

    @property
    def failing(self) -> bool:
        """Did our last attempt fail? A count without a failure was left by old scripts and does not tell."""
        return self.failures > 0 and self.failure is not None
