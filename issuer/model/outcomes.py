"""How attempts end, as values. Pure."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Self

from common.clock import utc_text
from issuer.model.failure import Failure
from issuer.model.limits import BY_A_LIMIT
from issuer.model.orders import OrderRecord
from issuer.model.tries import Tries


class Ending(Enum):
    STORED = "stored"
    FAILED = "failed"
    UNSEALED = "not ordered"  # the row is not what an operator enrolled
    VANISHED = "gone"  # the row is not there any more, and no issuer removed it
    UNSIGNED = "not signed"  # the certificate in the row is not the last one that an issuer signed
    PLANTED = "order not ours"  # the order that was under way was not written by an issuer, and was ended
    HELD = "held"  # by a limit of the CA, or because it refuses our account; no failure of the certificate
    ELSEWHERE = "in the hands of another issuer"
    GIVEN_UP = "given up"  # somebody else ended its order
    NOT_DUE = "not due"
    STOPPED = "stopped"
    HANDED_OVER = "handed to the daemon"

    @property
    def is_well(self) -> bool:
        """Is nobody to look after the certificate because of it?"""
        return self in (Ending.STORED, Ending.ELSEWHERE, Ending.NOT_DUE, Ending.HANDED_OVER)


NOT_AGAIN = "it is disabled, so certfleet orders nothing by itself; `issue NAME` tries again"
_WHEN_HELD = (
    "no action needed, certfleet tries again after that; once the CA has lifted its limit, `issue NAME --lift-hold`"
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended. *detail*: more about one that is well, or what holds it up. *failure*: about one that is
    FAILED, HELD, GIVEN_UP, for long ELSEWHERE, or about a row. *retry_at*: the next try (epoch seconds), 0 where it is
    not known.
    *failures*: how many in a row, this one included. *by_itself*: is there a next try without a person? *other_at*: the
    next try of the other CSR of a row that has two (epoch seconds), else None. *before*: that is how an earlier attempt
    ended, and this run makes none. *urgent*: little of the certificate's life is left when it is HELD no more."""

    name: str
    ending: Ending
    detail: str = ""
    retry_at: int = 0
    failure: Failure | None = None
    failures: int = 0
    by_itself: bool = True
    other_at: int | None = None
    before: bool = False
    urgent: bool = False

    @classmethod
    def held(
        cls, name: str, until: int, failure: Failure, *, by_itself: bool, by: str = BY_A_LIMIT, urgent: bool = False
    ) -> Self:
        """Held *by* something until a moment (epoch seconds), with a hint where *failure* has none."""
        hint = failure.hint or (_WHEN_HELD if by_itself else NOT_AGAIN)
        return cls(name, Ending.HELD, by, until, replace(failure, hint=hint), by_itself=by_itself, urgent=urgent)

    @property
    def word(self) -> str:
        """The ending for people."""
        return f"{self.ending.value} before" if self.before else self.ending.value

    @property
    def reference(self) -> str:
        """The kind of failure, "" for none."""
        return self.failure.reference if self.failure else ""

    @property
    def next_attempt(self) -> int:
        """The next try as far as people are concerned; 0 if there is none, or it is not known."""
        return self.retry_at if self.by_itself else 0

    @property
    def look_again_at(self) -> int:
        """The next try of either CSR; 0 if there is none, or it is not known."""
        moments = (self.next_attempt or None, self.other_at if self.by_itself else None)
        return min((moment for moment in moments if moment is not None), default=0)

    def line(self, tries: Tries) -> str:
        """One line about the attempt for people; its failure says why it is not well."""
        if self.ending is Ending.FAILED:
            again = f"next attempt at {tries.words(self.retry_at)}" if self.by_itself else "not tried again by itself"
            return f"{self.name}: failed; {again}" + (f" ({self.detail})" if self.detail else "")
        if self.ending is Ending.HELD:
            return f"{self.name}: held by {self.detail} until {utc_text(self.retry_at)}"
        return f"{self.name}: {self.ending.value}" + (f" ({self.detail})" if self.detail else "")


def left_elsewhere(name: str, record: OrderRecord | None, now: int) -> Ended:
    """The order of *name* is in the hands of another issuer; a failure if it has been under way for long. *record*:
    None if it has ended meanwhile."""
    if record is None or not record.is_long_at_work(now):
        return Ended(name, Ending.ELSEWHERE)
    what = f"its order of {utc_text(record.created_at)} is still under the lease of another issuer"
    hint = "look at the other issuer; if it is not at work on it, find out who writes to the table orders: a day after"
    hint += " it was opened the order is ended, and another one is opened"
    return Ended(name, Ending.ELSEWHERE, failure=Failure(what, hint=hint, reference="kept-elsewhere"))


@dataclass(frozen=True, slots=True)
class Waiting:
    """The attempt goes on, not before *at* (epoch seconds)."""

    at: float
