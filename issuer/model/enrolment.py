"""One row of ``certs`` as a frozen value. Times are epoch seconds."""

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from common.certificate import Bundle, is_for_request, leaf_fingerprint, leaf_validity
from issuer.model.csr import CsrFacts, csr_of
from issuer.model.failure import Failure
from issuer.model.leaf import Damaged, Leaf, bundle_of, leaf_of
from issuer.model.unapproved import Unapproved
from issuer.model.watch import UNWATCHED, Watch

DNS = "dns-01"  # the way of a name that has no other one
_EVERY = "*"  # in the table the name of the way for all names without an exception
NEVER_ISSUED = 1  # the most in *ts_expire* and *ts_last_update* before the first certificate


def end_of(crt: bytes, ts_expire: int | None, *, imported: bool) -> int:
    """The end of a certificate in PEM (epoch seconds), whatever others wrote to *ts_expire*. That column counts where
    the certificate cannot be read, 0 for no number. For an imported one, whose owner may want to be told sooner, an
    earlier moment counts too, but never a later one."""
    with contextlib.suppress(ValueError):
        ends = leaf_validity(crt)[1]
        sooner = imported and ts_expire is not None and NEVER_ISSUED < ts_expire < ends
        return ts_expire if sooner and ts_expire else ends
    return ts_expire or 0


@dataclass(frozen=True, slots=True)
class Validation:
    """How the names of a row are to be validated. *certbot* and *webroot_path* are the classic columns;
    *way* counts instead of them where it is not "". They are for every name but the *exceptions*: pairs of a name, as
    in the CSR, and its way. A way with a "/" is a webroot_path, any other one the name of a challenge type. A challenge
    type knows from the value :meth:`of` a name whether that name is its own."""

    certbot: bool = False
    webroot_path: str = ""
    exceptions: tuple[tuple[str, str], ...] = ()
    way: str = ""

    def of(self, name: str) -> "Validation":
        """The validation of one *name*, which has no exceptions. Its way is "" for dns-01 and for a webroot."""
        way = dict(self.exceptions).get(name, self.way)
        if "/" in way:
            return Validation(certbot=True, webroot_path=way)
        if way:
            return Validation(way="" if way == DNS else way)
        return Validation(self.certbot, self.webroot_path)

    @property
    def usual(self) -> "Validation":
        """The validation of the names without an exception."""
        return self.of("")

    def shares(self, names: Sequence[str]) -> list[tuple["Validation", list[str]]]:
        """*names*, those with the same validation together."""
        shares: dict[Validation, list[str]] = {}
        for name in names:
            shares.setdefault(self.of(name), []).append(name)
        return list(shares.items())

    @property
    def ways_text(self) -> str:
        """Way and exceptions as the table has them: a line "* WAY", and "NAME WAY" for each exception; "" for none."""
        usual = [(_EVERY, self.way)] if self.way else []
        return "\n".join(f"{name} {way}" for name, way in (*usual, *self.exceptions))


def validation_of(certbot: bool, webroot_path: str, ways_text: str) -> Validation:
    """The validation in the columns of a row. A line of *ways_text* without a way says DNS."""
    lines = (line.strip().partition(" ") for line in ways_text.splitlines() if line.strip())
    ways = {name.lower(): way.strip() or DNS for name, _, way in lines}
    usual = ways.pop(_EVERY, "")
    return Validation(certbot, webroot_path, tuple(ways.items()), usual)


@dataclass(frozen=True, slots=True)
class Change:
    """A CSR that waits: it takes the place of the row's CSR together with its first certificate. *due_at*: the moment
    of its next attempt, AT_ONCE for at once. *failures*: how many in a row; *failure*: the last one. *seal*: as of the
    row. *validation*: of its names; until then the row's own CSR keeps its ways."""

    csr: bytes
    due_at: int
    failures: int = 0
    failure: Failure | None = None
    seal: str = ""
    validation: Validation = Validation()
    takeover: int = 0  # where the row is imported: seconds before its end, from which on this is ordered; 0: at due_at

    @property
    def failing(self) -> bool:
        """Did its last attempt fail?"""
        return self.failures > 0


AT_ONCE = 0  # as the moment of a change


@dataclass(frozen=True)
class Enrolment:
    """One row of ``certs``: a certificate that is kept fresh, and the present one if there is any. *csr*, *crt* and
    *ca* are PEM as in the table. :attr:`request` and :attr:`present` are parsed from them at first use, because most
    rows of a large table are only counted. *changing*: this is the row as an attempt for its change sees it, with CSR,
    moment and failures of the change in place of its own (:mod:`issuer.rules.change`)."""

    name: str
    enabled: bool
    validation: Validation
    csr: bytes
    crt: bytes
    ca: bytes
    ts_expire: int | None  # the end of the certificate, or what others wrote there; None: no number
    ts_last_update: int
    failures: int
    due_at: int | None
    reissue_reason: str
    directory: str = ""  # of the CA that issued the present certificate; "" for unknown
    account: str = ""  # the account there that ordered it (issuer.ca.account.account_id); "" for unknown
    profile: str = ""  # with which it was ordered, issuer.rules.ca_ahead.NO_PROFILE for none; "" for unknown
    early: bool = False  # it was ordered long before our own moment, because of a window of the CA
    imported: bool = False  # bought elsewhere: looked at, never renewed
    revoked: bool = False  # we revoked the present certificate
    failure: Failure | None = None  # of the last attempt; None after a success
    ari_at: int | None = None  # the moment drawn in the CA's suggested window
    ari_window: tuple[int, int] | None = None  # start and end of that window
    rolled_back: str = ""  # SHA-256 of the present certificate after `rollback`
    statement: str = ""  # what we have signed about the present certificate (common/statement.py); "" for nothing
    ari_ask_at: int | None = None  # None: the CA offers no renewal information, as far as we know
    md5_modulus: str = ""  # of the CSR's key, by an old script or by us
    compromised: frozenset[str] = frozenset()  # SHA-256 of the public keys of this name that others know
    change: Change | None = None  # None: no other CSR waits
    ordered: str = ""  # digest of the CSR that the order under way is for; "" without one or without a change
    changing: bool = False
    seal: str = ""  # of what was enrolled (issuer.model.seal); "" for none
    watch: Watch = UNWATCHED
    unapproved: str = ""  # a line about a certificate that waits for approval, with its seal; "" for none

    @cached_property
    def present(self) -> Leaf | Damaged | None:
        """The present certificate; None before the first one."""
        return leaf_of(self.crt) if self.crt else None

    @cached_property
    def request(self) -> CsrFacts | Damaged:
        """The signing request, whether or not a CA would take it."""
        return csr_of(self.csr)

    @cached_property
    def waiting(self) -> Unapproved | None:
        """The certificate that waits for approval, as the row says; issuer.trust.seals tells whether that is so."""
        return Unapproved.of_line(self.unapproved) if self.unapproved else None

    @property
    def scope(self) -> str:
        """The scope of holds that concern this row alone. A limit that its change met does not hold up its renewal."""
        return change_scope(self.name) if self.changing else self.name

    @property
    def takeover_at(self) -> int | None:
        """The moment from which on our CA is to take over from where the certificate was bought (epoch seconds); the
        seal of the change covers it. So it is counted from the certificate's own end, whatever *ts_expire* says."""
        seconds = self.change.takeover if self.change is not None and self.imported else 0
        return self.own_end - seconds if seconds > 0 else None

    @property
    def key_sha256(self) -> str:
        """SHA-256 of the public key of the CSR, without a CSR that of the certificate; "" for a damaged one."""
        holder = self.request if self.csr else self.present
        return "" if holder is None or isinstance(holder, Damaged) else holder.spki_sha256

    @property
    def bundle(self) -> Bundle | Damaged:
        """The present certificate with its chain."""
        return bundle_of(self.crt, self.ca)

    @cached_property
    def is_misfit(self) -> bool:
        """Is the present certificate for another key than that of the CSR? Nobody meant that, unless it is an imported
        one or an earlier version."""
        meant = self.imported or self.rolled_back or self.changing
        return not meant and is_for_request(self.crt, self.csr) is False

    @cached_property
    def life(self) -> tuple[int, int] | None:
        """Start and end of the present certificate (epoch seconds), five times faster than :attr:`present`, for lists
        of all rows. None where they cannot be read."""
        try:
            return leaf_validity(self.crt)
        except ValueError:
            return None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the present certificate, as fast as :attr:`life`; "" without one, or where it cannot be read."""
        try:
            return leaf_fingerprint(self.crt)
        except ValueError:
            return ""

    @cached_property
    def ends(self) -> int:
        """The end of the present certificate (epoch seconds), as :func:`end_of` tells it."""
        return end_of(self.crt, self.ts_expire, imported=self.imported)

    @property
    def is_revoked(self) -> bool:
        """Did we revoke the present certificate, or did its CA say so at the last audit?"""
        return self.revoked or self.watch.revoked

    @property
    def own_end(self) -> int:
        """The end in the present certificate itself (epoch seconds); 0 where it cannot be read."""
        return self.life[1] if self.life is not None else 0

    @property
    def failing(self) -> bool:
        """Did our last attempt fail? A count without a failure was left by old scripts and does not tell."""
        return self.failures > 0 and self.failure is not None


def change_scope(name: str) -> str:
    """The scope of holds that concern the change of a certificate alone: no name of another has a slash."""
    return f"change/{name}"


def csr_digest(csr: bytes) -> str:
    """SHA-256 of the text of a CSR as it stands in its row, by which an order names the CSR that it is for."""
    return hashlib.sha256(csr).hexdigest()
