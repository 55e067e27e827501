"""Rows that nobody enrolled, as far as this issuer knows: a thief in the database can make any number of them.

So the first few are told one by one, and all of them are counted.
"""

from collections.abc import Callable, Collection, Sequence

from common.dataclasses import dataclass
from issuer.model.enrolment import Enrolment
from issuer.model.failure import Failure
from issuer.model.outcomes import Ended

MOST_TOLD = 20


@dataclass(frozen=True, slots=True)
class RowsFound:
    """Rows that are not as they should be, each with its ending. *strangers*: the names of all that nobody enrolled, of
    which only the first have an ending."""

    endings: Sequence[Ended] = ()
    strangers: Collection[str] = ()

    @property
    def crowd(self) -> Failure | None:
        """The count of strangers; None where each is told."""
        return crowd(len(self.strangers))


class Few:
    """Lets every row pass but strangers, of which the first few pass. *names*: those of all strangers that came."""

    def __init__(self, is_stranger: Callable[[Enrolment], bool]):
        self._is_stranger = is_stranger
        self.names: list[str] = []

    def __call__(self, row: Enrolment) -> bool:
        if not self._is_stranger(row):
            return True
        self.names.append(row.name)
        return len(self.names) <= MOST_TOLD

    @property
    def crowd(self) -> Failure | None:
        """The count of strangers; None where each may pass."""
        return crowd(len(self.names))


def crowd(count: int) -> Failure | None:
    """Words about that many strangers; None where each is told."""
    if count <= MOST_TOLD:
        return None
    hint = "find out who writes to the table, and take these rows out; `adopt --all` lists every one, and asks"
    why = f"{MOST_TOLD} of them are told one by one"
    return Failure(f"{count} rows of the table were enrolled by nobody, and nothing is ordered for them", why, hint)
