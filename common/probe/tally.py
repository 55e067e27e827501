"""The sum of many rounds of looks: failures with their times, the slowest handshake. Pure."""

from collections.abc import Sequence
from typing import Any

from common.clock import utc_text
from common.dataclasses import dataclass, field
from common.probe.shown import Shown
from common.revocation.state import Status


@dataclass(frozen=True, slots=True)
class Failed:
    """*at*: epoch seconds; *where*: target, address and name; *why*: a sentence."""

    at: float
    where: str
    why: str

    def __str__(self) -> str:
        return f"{utc_text(self.at)}  {self.where}  {self.why}"


@dataclass(slots=True)
class Tally:
    """It is added to, round by round. *doubts*: nobody could say whether a certificate is revoked, a fault of a third
    party that comes and goes. *slowest*: seconds, when, and where."""

    rounds: int = 0
    failures: list[Failed] = field(default_factory=list)
    doubts: list[Failed] = field(default_factory=list)
    slowest: tuple[float, float, str] | None = None

    def add(self, all_shown: Sequence[Shown], now: float) -> list[Failed]:
        """One more round, at *now* (epoch seconds). Returns what failed in it."""
        self.rounds += 1
        failures = [Failed(now, _where(one), why) for one in all_shown for why in one.problems(now)]
        doubts = [Failed(now, _where(one), why) for one in all_shown for why in _unsaid(one)]
        self.failures += failures
        self.doubts += doubts
        slow = [(one.view.seconds, now, _where(one)) for one in all_shown if one.view.seconds is not None]
        self.slowest = max([*slow, *([self.slowest] if self.slowest else [])], default=None)
        return failures + doubts

    def lines(self) -> list[str]:
        """For people."""
        said = [f"{self.rounds} rounds, {len(self.failures)} failures", *(f"  {one}" for one in self.failures)]
        said += [f"{len(self.doubts)} times nobody could say whether it is revoked"] if self.doubts else []
        said += [f"  {one}" for one in self.doubts]
        if self.slowest is not None:
            seconds, at, where = self.slowest
            said.append(f"slowest handshake {seconds * 1000:.0f} ms  {utc_text(at)}  {where}")
        return said

    def document(self) -> dict[str, Any]:
        """For programs."""
        slowest = None
        if self.slowest is not None:
            seconds, at, where = self.slowest
            slowest = {"seconds": round(seconds, 6), "at": utc_text(at), "where": where}
        told = {"failures": self.failures, "revocation_unknown": self.doubts}
        return {"rounds": self.rounds, "slowest": slowest} | {
            word: [{"at": utc_text(one.at), "where": one.where, "why": one.why} for one in some]
            for word, some in told.items()
        }


def _where(one: Shown) -> str:
    return "  ".join(filter(None, (one.place.target.text, one.place.address, one.place.name)))


def _unsaid(one: Shown) -> list[str]:
    if one.revocation.status is not Status.UNKNOWN or not one.revocation.asked:
        return []
    return [f"its revocation is unknown: {'; '.join(map(str, one.revocation.problems))}"]
