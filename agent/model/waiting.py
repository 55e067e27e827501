"""Why this host takes no newer certificate although it could: a person has said so. Moments are epoch seconds."""

from collections.abc import Mapping

from common.clock import utc_text
from common.dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GoneBack:
    """A person of this host went back, at *since*, to the leaf with the SHA-256 *to*. The certificates
    that were *left*, serial numbers by SHA-256, are not taken again."""

    to: str
    left: Mapping[str, str]
    since: int

    @property
    def sentence(self) -> str:
        serials = ", ".join(self.left.values())
        since = utc_text(self.since)
        return f"gone back by hand at {since} from serial {serials}: not taken again until `release`; a newer one is"


@dataclass(frozen=True, slots=True)
class Pause:
    """A person of this host said, at *since*, that nothing new is taken before *until*, and the *reason*."""

    until: int
    reason: str
    since: int

    def lasts(self, now: float) -> bool:
        return now < self.until

    @property
    def sentence(self) -> str:
        return f"held by hand until {utc_text(self.until)}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True)
class Postponed:
    """A newer certificate with that *serial* waits for the next opening of its *window*, which is at *opens*."""

    serial: str
    window: str
    opens: int

    @property
    def sentence(self) -> str:
        what = f"serial {self.serial} is staged and waits for its window {self.window}"
        return f"{what}, which opens at {utc_text(self.opens)}"
