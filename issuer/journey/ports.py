"""The Protocols by which the journeys know the world; those of challenge types stand in solver.py, those
of the rows of ``certs`` in rows.py. The command line hands in the real ones. Moments are epoch seconds."""

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from common.certificate import Bundle
from common.check_line import Line
from common.clock import Clock
from common.errors import CertfleetError
from issuer.journey.pacing import Pacing
from issuer.journey.rows import ApprovalStore, CertificateRows, CertificateStore
from issuer.journey.solver import Solver, solver_for
from issuer.journey.turns import Turns
from issuer.model.acme import CaAuthorization, CaOrder, Challenge, RenewalInfo
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment, Validation
from issuer.model.events import Event
from issuer.model.failure import Failure
from issuer.model.orders import OrderRecord
from issuer.model.seal_faults import Fault
from issuer.model.timing import Timing
from issuer.model.unapproved import Unapproved
from issuer.rules.acceptance import Past
from issuer.rules.caa import CaaRecord
from issuer.rules.retry import falls_back


class CertificateAuthority(Protocol):
    """One ACME server with our account there (RFC 8555). *directory* is its URL, *account_id* names the account in our
    tables. Every method may raise AcmeProblem; those with a URL raise OtherAccount for an order of another account.
    Thread-safe."""

    directory: str
    account_id: str

    def open_order(self, names: Sequence[str], replaces: str = "") -> CaOrder:
        """A new order for exactly *names* (RFC 8555 §7.4). *replaces*: identifier of the certificate that it renews
        (RFC 9773 §5), left out where the CA takes none. An AcmeProblem that is *in_doubt* leaves open whether the CA
        made the order."""

    def find_order(self, names: Sequence[str]) -> CaOrder | None:
        """A pending or ready order for exactly *names*; None where there is none, or the CA lists no orders (RFC
        8555 §7.1.2.1)."""

    def order(self, url: str) -> CaOrder:
        """The order as it is now (RFC 8555 §7.1.3)."""

    def authorization(self, url: str) -> CaAuthorization:
        """The authorization as it is now (RFC 8555 §7.1.4)."""

    def deactivate(self, authorization_url: str) -> None:
        """Give back an authorization (RFC 8555 §7.5.2)."""

    def answer(self, challenge_url: str) -> None:
        """Tell the CA that it may validate the challenge now (RFC 8555 §7.5.1)."""

    def finalize(self, order: CaOrder, csr_der: bytes) -> CaOrder:
        """Send the CSR, in DER; returns the order as the CA answers (RFC 8555 §7.4)."""

    def certificate(self, url: str) -> bytes:
        """The issued certificate with its chain, in PEM (RFC 8555 §7.4.2)."""

    def key_authorization(self, token: str) -> str:
        """The key authorization of a challenge's token (RFC 8555 §8.1)."""

    def account_url(self) -> str:
        """The URL of our account, which is registered if need be (RFC 8555 §7.3). CAA's accounturi names it (RFC
        8657)."""

    @property
    def registered(self) -> bool:
        """Has :meth:`account_url` found or registered our account before? Asks the CA nothing."""

    @property
    def caa_identities(self) -> tuple[str, ...]:
        """The domain names by which CAA records call this CA (RFC 8555 §9.7.6)."""

    @property
    def offers_renewal_info(self) -> bool:
        """Does the CA offer renewal information (RFC 9773)? Asks it nothing new."""

    def renewal_info(self, certificate_id: str) -> RenewalInfo | None:
        """The suggested window for a certificate (RFC 9773 §4.1); None where the CA offers none."""


class OrderStore(Protocol):
    """Orders, each under the lease of one issuer process: ours, or that of another. *now* is in epoch seconds. A record
    that is read is *sealed* if an issuer wrote its row so. A lease counts as long as the record *may_be_leased*. Every
    method may raise StoreError. :meth:`save` and :meth:`fail` raise LeaseLost where another issuer took the order over,
    and GivenUp where somebody ended it."""

    def open(self, planned: OrderRecord, names: Sequence[str]) -> OrderRecord | None:
        """Save the *planned* order for *names*, under our lease. Returns it with its number; None where another issuer
        has an order under way for its certificate."""

    def claim(self, name: str, now: int) -> OrderRecord | None:
        """Take the lease of the order under way for *name*. Returns None where there is no such order, or another
        process has its lease."""

    def under_way(self, now: int) -> list[OrderRecord]:
        """Orders that have not ended and that no living process has the lease of."""

    def withheld(self, now: int) -> list[OrderRecord]:
        """Orders that have not ended and have a lease that does not count; that of ours counts on a sealed one."""

    def elsewhere(self, name: str, now: int) -> OrderRecord | None:
        """The order under way for *name* that another process has the lease of; None without one."""

    def save(self, old: OrderRecord, new: OrderRecord, now: int) -> OrderRecord:
        """Save the move from *old* to *new* and extend the lease; *old* twice only extends it. Returns *new*."""

    def fail(self, record: OrderRecord, reason: str, now: int) -> OrderRecord:
        """End the order as FAILED, also one that is not sealed. *reason* is for people. Returns the ended record."""

    def end_left(self, records: Sequence[OrderRecord], reason: str, now: int) -> list[OrderRecord]:
        """End those of *records* of which no process has a lease that counts as FAILED, in one transaction. Returns
        them; not one that has ended meanwhile."""

    def let_go_left(self) -> None:
        """Free the leases that a killed process of this issuer still has. Only under the issuer's lock, before anything
        begins."""

    def drop(self, record: OrderRecord) -> None:
        """Delete an order that the CA never heard of. Does nothing where the lease is not ours."""

    def release(self, record: OrderRecord) -> None:
        """Give the lease back, also that of an ended order. Does nothing where the lease is not ours."""


class Looks(Protocol):
    """The moments at which this issuer looks at each certificate again, whatever the database says. Never raises."""

    def plan(self, name: str, moment: int | None, ends: int = 0) -> None:
        """Look at *name* at that moment (epoch seconds); None: not by itself. *ends*: the end of its present
        certificate, 0 without one."""

    def soonest(self, most: int) -> list[str]:
        """The *most* names whose certificates end first."""

    def come(self, now: int, most: int) -> list[str]:
        """The names whose moment has come, at most *most* of them, the longest wait first."""


class Seals(Protocol):
    """Proves that rows are what operators enrolled, and remembers what was stored. Every method may raise ConfigError,
    FileError. *now* is in epoch seconds."""

    def faults(self, row: Enrolment) -> Sequence[Fault]:
        """The faults of *row* beside its seal; none if it holds what was enrolled."""

    def taken(self, row: Enrolment) -> None:
        """Remember that the change of *row*, as it sees the row, took the place of the row's CSR."""

    def stored(self, name: str, bundle: Bundle, now: int) -> None:
        """Remember that the certificate in *bundle* became that of *name*."""

    def ordered(self, name: str, now: float) -> None:
        """Remember that a CA has opened an order for *name* now; each counts, also where two fall in one second."""

    def seal(self, content: Unapproved) -> str:
        """The line about a certificate that waits for approval, for its row."""

    def unapproved(self, row: Enrolment) -> Unapproved | None:
        """The certificate that waits for approval in *row*; None unless an issuer of ours kept it so."""

    def past(self, name: str) -> Past:
        """The certificates of *name* that were stored or revoked, also those of before that were seen in its row; and
        its orders of the last day."""


class ChallengeJournal(Protocol):
    """The answers that are or may be out in the world. Every method may raise StoreError. *now* is in epoch seconds."""

    def add(self, order_id: int, entries: Sequence[Challenge], now: int) -> list[Challenge]:
        """Journal answers before they are published. Returns all entries of the order, with their ids. Raises
        BeingTakenBack where the same answer of an ended order is being withdrawn."""

    def of(self, order_id: int) -> list[Challenge]:
        """All entries of an order."""

    def orphans(self) -> list[Challenge]:
        """Entries whose order has ended: a process died before it could withdraw them."""

    def leased(self, entries: Sequence[Challenge], now: int) -> AbstractContextManager[list[Challenge]]:
        """For the block, the exclusive right to withdraw those of *entries* that it gives. Left out are entries of
        orders under way, and those that somebody else withdraws. An answer that an order under way wants is only
        forgotten."""

    def forget(self, entries: Sequence[Challenge]) -> None:
        """Delete entries whose answers are gone from the world."""


class HoldStore(Protocol):
    """Holds: limits of a CA that it told us of by a refusal, shared by all issuers. Moments are epoch seconds. Every
    method may raise StoreError."""

    def until(self, account: str, name: str, now: int, *, goes_on: bool = False) -> tuple[int, Failure] | None:
        """The end and the failure of the longest hold on *name* or on the whole *account*; None without one. With
        *goes_on* the order is known to the CA already, so a hold on the account does not concern it."""

    def add(self, account: str, scope: str, until: int, failure: Failure, now: int) -> None:
        """Save a hold on *scope*, a certificate's name, ACCOUNT or REGISTRATION, until a moment."""


def _nobody(_: Event) -> None:
    """Drops an event."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Everything outside that a journey uses."""

    settings: Settings
    authorities: Mapping[str, CertificateAuthority]  # by directory URL, in the order in which they are tried
    solvers: Mapping[str, Solver]  # by challenge type
    certificates: CertificateRows
    outcomes: CertificateStore  # the same rows; a rehearsal replaces only `certificates`, because it reaches no outcome
    approvals: ApprovalStore
    seals: Seals
    looks: Looks
    orders: OrderStore
    journal: ChallengeJournal
    holds: HoldStore
    pacing: Mapping[str, Pacing]  # by directory URL
    caa: Callable[[str], Sequence[CaaRecord]]  # the record set that counts for a name
    faults_from_root: Callable[[Sequence[str]], Sequence[Line]]  # on the way to these names; bad: a CA finds nothing
    clock: Clock
    timing: Timing = Timing()
    turns: Turns = field(default_factory=Turns)
    registering: AbstractContextManager[object] = field(default_factory=threading.Lock)  # one attempt at a time
    tell: Callable[[Event], None] = _nobody  # takes the news for people; never raises

    def solver(self, row: Enrolment, name: str) -> Solver:
        """The solver that validates *name*, one of the names of *row*. It is that of dns-01 where the configuration
        lets a failed file fall back to it and its place can be found."""
        validation = row.validation.of(name)
        if falls_back(row, validation, self.settings.webroot):
            with contextlib.suppress(CertfleetError):
                other = solver_for(Validation(), self.solvers)
                other.place(name, row)
                return other
        return solver_for(validation, self.solvers)
