"""The facts about the revocation of one certificate. Pure."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Any

from common.clock import utc_text
from common.dataclasses import dataclass
from common.errors import Finding

_SKEW = 300  # seconds that the CA's clock may be ahead of ours


class Status(Enum):
    """The three signals in one word."""

    GOOD = "good"  # somebody who may say so says that it is not revoked
    REVOKED = "revoked"
    UNKNOWN = "unknown"  # it was asked, and no answer counts
    NOT_ASKED = "not asked"  # the certificate names nobody who could be asked


@dataclass(frozen=True, slots=True)
class Revocation:
    """*asked*: the URLs that were asked, or of a stapled answer "staple". *available*: an answer counts: signed by the
    issuer, in scope, fresh. *revoked* is True or False only where one does. *since* and *fresh_until*: epoch seconds.
    *reason*: the word of RFC 5280 §5.3.1, "" if none is given. *by*: the one of *asked* that decided. *problems*: for
    each answer that does not count its URL and why."""

    asked: tuple[str, ...] = ()
    available: bool = False
    revoked: bool | None = None
    since: int | None = None
    reason: str = ""
    fresh_until: int | None = None
    by: str = ""
    problems: tuple[Finding, ...] = ()

    @property
    def status(self) -> Status:
        """The signals in one word; revoked is stronger than good."""
        if self.revoked:
            return Status.REVOKED
        if self.available:
            return Status.GOOD
        return Status.UNKNOWN if self.asked or self.problems else Status.NOT_ASKED

    @property
    def sentence(self) -> str:
        """The status with its moments and every problem, for people."""
        since = f"since {utc_text(self.since)}" if self.since is not None else ""
        fresh = f"fresh until {utc_text(self.fresh_until)}" if self.fresh_until is not None else ""
        return "; ".join(filter(None, (self.status.value, since, self.reason, fresh, *map(str, self.problems))))

    @property
    def fields(self) -> dict[str, Any]:
        """For --json."""
        return {
            "status": self.status.value,
            "asked": list(self.asked),
            "available": self.available,
            "revoked": self.revoked,
            "since": None if self.since is None else utc_text(self.since),
            "reason": self.reason,
            "fresh_until": None if self.fresh_until is None else utc_text(self.fresh_until),
            "problems": list(map(str, self.problems)),
        }


def fault_of_dates(what: str, this_update: datetime, until: float, now: float) -> str:
    """A sentence about *what*, such as "the list", that was made at *this_update* and is good *until* then (epoch
    seconds); "" if it counts at *now*."""
    if this_update.timestamp() > now + _SKEW:
        return f"{what} is from {utc_text(this_update.timestamp())}, which is ahead of this machine's clock"
    return f"{what} is stale: a newer one was due at {utc_text(until)}" if until <= now else ""


def unknown(source: str, problem: str) -> Revocation:
    """*source* was asked in vain, or nobody with ""; *problem* says why."""
    return Revocation(asked=(source,) if source else (), problems=(Finding(source, problem),))


def together(answers: Sequence[Revocation]) -> Revocation:
    """One of several answers about a certificate. One that says revoked decides: a list may be hours behind a
    responder."""
    decisive = next((one for one in answers if one.revoked), None)
    decisive = decisive or next((one for one in answers if one.available), Revocation())
    return Revocation(
        asked=tuple(source for one in answers for source in one.asked),
        available=decisive.available,
        revoked=decisive.revoked,
        since=decisive.since,
        reason=decisive.reason,
        fresh_until=decisive.fresh_until,
        by=decisive.by,
        problems=tuple(problem for one in answers for problem in one.problems),
    )
