"""Why this host takes no newer certificate although it could: a person has said so. Moments are epoch seconds."""

from collections.abc import Mapping
from dataclasses import dataclass

from common.clock import utc_text


@dataclass(frozen=True, slots=True)
class GoneBack:
    """A person of this host went back, at *since*, to the leaf with the SHA-256 *to*. Those that were *left* are not
    taken again: their SHA-256 with their serial numbers."""

    to: str
    left: Mapping[str, str]
    since: int

    @property
    def sentence(self) -> str:
        serials = ", ".join(self.left.values())
        since = utc_text(self.since)
        return f"gone back by hand at {since} from serial {serials}: not taken again until `release`; a newer one is"
