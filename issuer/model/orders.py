"""The life of an order as a table. Pure: this module knows no CA, no DNS, no database and no clock.

    PLANNED ──► ORDERED ──► PUBLISHED ──► VISIBLE ──► VALIDATED ──► FINALIZING ──► STORED
       │           └───────────────────────────────────►┘ (every authorization valid already)
       └── any state under way ──► FAILED

The record is saved before the world is touched and after each step, so a process that dies at any instruction leaves a
state from which the next one goes on. Each step can be run twice.
"""

from dataclasses import dataclass
from enum import Enum

from issuer.model.moments import believable


class OrderState(Enum):
    PLANNED = "PLANNED"  # we want it; the CA may or may not know yet
    ORDERED = "ORDERED"  # the order's URL is saved
    PUBLISHED = "PUBLISHED"  # every challenge is journalled, then written to its zone or webroot
    VISIBLE = "VISIBLE"  # every authoritative server shows it
    VALIDATED = "VALIDATED"  # the CA holds every authorization valid
    FINALIZING = "FINALIZING"  # the CSR was sent; the CA issues
    STORED = "STORED"  # the certificate is in the database
    FAILED = "FAILED"  # ended without a certificate; reason and next attempt are saved


TRANSITIONS: dict[OrderState, frozenset[OrderState]] = {
    OrderState.PLANNED: frozenset({OrderState.ORDERED, OrderState.FAILED}),
    OrderState.ORDERED: frozenset({OrderState.PUBLISHED, OrderState.VALIDATED, OrderState.FAILED}),
    OrderState.PUBLISHED: frozenset({OrderState.VISIBLE, OrderState.FAILED}),
    OrderState.VISIBLE: frozenset({OrderState.VALIDATED, OrderState.FAILED}),
    OrderState.VALIDATED: frozenset({OrderState.FINALIZING, OrderState.FAILED}),
    OrderState.FINALIZING: frozenset({OrderState.STORED, OrderState.FAILED}),
    OrderState.STORED: frozenset(),
    OrderState.FAILED: frozenset(),
}

_DAY = 86400
_KEPT_DAYS = 7  # CAs keep an order about that long (RFC 8555 §7.1.3, "expires")

HAND_SECONDS = _DAY  # given to a person from each step on
_LONG_AT_WORK = 7200  # the waits of one order together, as a rule
_LONGEST_AT_WORK = _DAY  # a step has a time limit, and an order that is interrupted is let go

ENDED = frozenset(state for state, following in TRANSITIONS.items() if not following)


class Cause(Enum):
    """Why an order was opened, and so what is allowed for it."""

    FIRST = "first"  # there is no certificate yet
    RENEWAL = "renewal"
    SUGGESTED = "suggested"  # the moment drawn in the CA's window has come (RFC 9773)
    INCIDENT = "incident"  # the CA's window has passed before half of the life: a revocation, an incident
    EXPIRED = "expired"
    FORCED = "forced"  # ts_expire was set into the past, by hand or by an old script
    DAMAGED = "damaged"  # the stored certificate cannot be parsed
    MISFIT = "misfit"  # the stored certificate is for another key than that of its CSR
    CHANGE = "change"  # another CSR is enrolled and waits for its first certificate
    APPROVAL = "approval"  # no new order: a certificate that waited for approval needs none any more
    WISH = "wish"  # a person asked for a new one, due or not
    BY_HAND = "by hand"  # a person works on it, until its deadline
    UNDER_WAY = "under-way"  # no new order: one is under way and goes on


BY_WINDOW = (Cause.SUGGESTED, Cause.INCIDENT)  # causes of orders that CAs exempt from their limits


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """One row of ``orders``: one attempt at one certificate, under the lease of one issuer process. Times are epoch
    seconds. *deadline* belongs to the present state, *created_at* to the order as a whole. *sealed*: did an issuer with
    our seal key write the row as it is?"""

    id: int
    name: str
    state: OrderState
    directory: str
    created_at: int
    url: str = ""
    cause: Cause = Cause.RENEWAL
    replaces: str = ""  # identifier of the certificate that it renews, RFC 9773
    deadline: int | None = None
    csr_sha256: str = ""  # of the text of the CSR that it is for; "" if an earlier version opened it
    sealed: bool = True

    def is_by_hand(self, now: int) -> bool:
        """Does a person work on it, so that `run` leaves it alone?"""
        return is_by_hand(self.cause, self.deadline, now)

    def may_be_leased(self, now: int) -> bool:
        """Can an issuer of ours be at work on it? Who writes the database writes leases as well: one on an order that
        is not ours counts for nothing, and one on an order of ours not for ever."""
        return self.sealed and now < self.created_at + _LONGEST_AT_WORK

    def is_long_at_work(self, now: int) -> bool:
        """Was it opened so long ago that an issuer with its lease is rather stuck, or none of ours?"""
        return now >= self.created_at + _LONG_AT_WORK

    def kept_until(self, *, hurry: bool, life: int | None = None) -> int:
        """The moment (epoch seconds) until which an interrupted order is gone on with. In FINALIZING that is days,
        unless there is a *hurry*: the CA may have issued. Before that, a new order costs no more than the old one.
        Never more than an eighth of the *life* of the present certificate (seconds): others have to fit after it."""
        patient = self.state is OrderState.FINALIZING and not hurry
        kept = (_KEPT_DAYS if patient else 1) * _DAY
        return self.created_at + (kept if life is None else min(kept, life // 8))

    @property
    def ended(self) -> bool:
        return self.state in ENDED


def new_order(
    name: str, directory: str, now: int, cause: Cause, *, replaces: str = "", csr_sha256: str = ""
) -> OrderRecord:
    """An order that no store has numbered yet."""
    state = OrderState.PLANNED
    return OrderRecord(0, name, state, directory, now, cause=cause, replaces=replaces, csr_sha256=csr_sha256)


def is_by_hand(cause: Cause, deadline: int | None, now: float) -> bool:
    """Does a person work on an order under way, until a believable *deadline*?"""
    return cause is Cause.BY_HAND and believable(deadline, now, HAND_SECONDS)


def check_move(old: OrderState, new: OrderState) -> None:
    """Raises RuntimeError for a move that the table does not list: a fault of ours, never the CA's."""
    if new not in TRANSITIONS[old]:
        raise RuntimeError(f"an order cannot go from {old.value} to {new.value}")
