"""The process that makes the next attempt, if there is one, as a value. Pure."""

import math

from common.clock import utc_text
from common.dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tries:
    """A process makes every attempt that falls before *until* (epoch seconds), at its moment. After that only the next
    `run` makes one, and nobody knows when something starts that."""

    until: float

    def words(self, at: float) -> str:
        """When an attempt is really made whose moment is *at* (epoch seconds), for people."""
        return utc_text(at) if at <= self.until else f"the first run after {utc_text(at)}"


BY_DAEMON = Tries(math.inf)
BY_NEXT_RUN = Tries(-math.inf)
