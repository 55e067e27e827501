"""Something that the daemon does now and then beside the orders, on a thread of its own and never twice at once.

The loop itself never waits for a database, a name server or a mail server, so that it is alive while they are not.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from issuer.ground.threads import aside

T = TypeVar("T")


class Errand(Generic[T]):
    """*every* so many seconds. After a failure it waits longer each time, from *first_pause* up to *longest_pause*."""

    def __init__(
        self,
        name: str,
        work: Callable[[], T],
        *,
        every: float,
        wake: Callable[[], None],
        first_pause: float = 1.0,
        longest_pause: float = 30.0,
    ):
        self.name = name
        self.failures = 0  # in a row
        self._work = work
        self.every = every
        self._wake = wake
        self._pauses = (first_pause, longest_pause)
        self._next_at = float("-inf")
        self._out: Future[T] | None = None

    def go(self, now: float) -> None:
        """Set out if it is time; *now* is monotonic. The thread dies with the process: nothing it does needs an end."""
        if self._out is None and now >= self._next_at:
            self._out = aside(self._work)
            self._out.add_done_callback(lambda _: self._wake())

    def soon(self) -> None:
        """Do not wait for the next moment."""
        self._next_at = float("-inf")

    def back(self, now: float) -> T | None:
        """What it brought, once; None while it is out. Raises what it met, and then waits longer."""
        if self._out is None or not self._out.done():
            return None
        out, self._out = self._out, None
        if out.exception() is None:
            self.failures = 0
            self._next_at = now + self.every
        else:
            self.failures += 1
            self._next_at = now + self.pause
        return out.result()

    @property
    def pause(self) -> float:
        """Seconds from the last failure to the next try."""
        first, longest = self._pauses
        return min(first * 2.0 ** min(self.failures - 1, 30), longest)
