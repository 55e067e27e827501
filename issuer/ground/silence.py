"""A party that did not answer is left alone for a while, so that a dead one costs its time limit once."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Party = TypeVar("Party")
Trouble = TypeVar("Trouble")


@dataclass(frozen=True, slots=True)
class _Pause(Generic[Trouble]):
    until: float
    seconds: float
    trouble: Trouble


class Silence(Generic[Party, Trouble]):
    """The parties that were silent lately, with the trouble that asking them brought. Thread-safe. A party is left
    alone for *seconds*, and after each further silence for twice as long as before, up to *longest* seconds. *clock*
    counts seconds and is never set."""

    def __init__(self, seconds: float, longest: float = 0.0, clock: Callable[[], float] = time.monotonic):
        self._seconds = seconds
        self._longest = max(seconds, longest)
        self._clock = clock
        self._pauses: dict[Party, _Pause[Trouble]] = {}
        self._lock = threading.Lock()

    def of(self, party: Party) -> Trouble | None:
        """The trouble with *party* if it is to be left alone now, else None."""
        with self._lock:
            pause = self._pauses.get(party)
            return pause.trouble if pause is not None and self._clock() < pause.until else None

    def begins(self, party: Party, trouble: Trouble) -> None:
        """Leave *party* alone from now on: it did not answer, and asking it brought *trouble*."""
        with self._lock:
            before = self._pauses.get(party)
            seconds = min(2 * before.seconds, self._longest) if before is not None else self._seconds
            self._pauses[party] = _Pause(self._clock() + seconds, seconds, trouble)

    def ends(self, party: Party) -> None:
        """Forget the silence of *party*: it has answered."""
        with self._lock:
            self._pauses.pop(party, None)
