"""How attempts end, as values. Pure."""

from dataclasses import dataclass
from enum import Enum

from common.clock import utc_text


class Ending(Enum):
    STORED = "stored"
    FAILED = "failed"
    HELD = "held"  # by a limit of the CA; no failure of the certificate
    ELSEWHERE = "in the hands of another issuer"
    GIVEN_UP = "given up"  # its order, by somebody else
    NOT_DUE = "not due"
    STOPPED = "stopped"
    HANDED_OVER = "handed to the daemon"


NOT_AGAIN = "it is disabled, so nothing is ordered by itself; `issue NAME` tries again"
_WHEN_HELD = "nothing, it is tried again then; once the CA has lifted its limit, `issue NAME --lift-hold`"


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended. *retry_at* (epoch seconds): when to try again, where that is known; *reference*,
    *failures* and *hint* of a failed one: its kind, how many in a row there were with it, and what to do about it.
    *by_itself*: is there anybody who tries again then?"""

    name: str
    ending: Ending
    detail: str = ""
    retry_at: int = 0
    reference: str = ""
    failures: int = 0
    hint: str = ""
    by_itself: bool = True

    @property
    def next_attempt(self) -> int:
        """When it is tried again as far as people are concerned; 0 if it is not, or that is not known."""
        return self.retry_at if self.by_itself else 0

    def __str__(self) -> str:
        """The one line that a person sees about an attempt; why it is not well says :attr:`complaint`."""
        if self.ending is Ending.FAILED:
            again = f"next attempt at {utc_text(self.retry_at)}" if self.by_itself else "not tried again by itself"
            return f"{self.name}: failed; {again}"
        if self.ending is Ending.HELD:
            return f"{self.name}: held by a limit of the CA until {utc_text(self.retry_at)}"
        return f"{self.name}: {self.ending.value}" + (f" ({self.detail})" if self.detail else "")

    @property
    def complaint(self) -> str:
        """What went wrong, why, what to do, and when it is tried again, for standard error; "" when nothing did."""
        if self.ending not in (Ending.FAILED, Ending.HELD, Ending.GIVEN_UP):
            return ""
        what = self.detail.removesuffix(f" ({self.hint})") if self.hint else self.detail
        hint = self.hint
        if self.ending is Ending.HELD and not hint:
            hint = _WHEN_HELD if self.by_itself else NOT_AGAIN
        lines = [
            f"error: {self.name}: {self.ending.value}: {what}",
            f"  what to do: {hint}" if hint else "",
            f"  next attempt: {utc_text(self.next_attempt)}" if self.next_attempt else "",
        ]
        return "\n".join(filter(None, lines))


@dataclass(frozen=True, slots=True)
class Waiting:
    """The attempt goes on, not before *at* (epoch seconds)."""

    name: str
    at: float
