"""Work that the daemon repeats beside the orders, on a thread of its own and never twice at once.

The loop never waits for a database, a name server or a mail server, so it stays alive while they are away.
"""

import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import KW_ONLY, dataclass
from typing import Generic, TypeVar

from common.threads import on_thread

T = TypeVar("T")
_FIRST_PAUSE = 1.0  # seconds after the first failure; each further failure doubles the pause


@dataclass(eq=False)
class Periodic(Generic[T]):
    """*work*, every *every* seconds. The larger the table, the longer the work: the pause after it is *share* times as
    long as it took, if that is more, up to *longest* seconds. After a failure the pause doubles each time, up to
    *longest_pause* seconds."""

    name: str
    work: Callable[[], T]
    _: KW_ONLY
    every: float
    wake: Callable[[], None]
    share: int = 0
    longest: float = math.inf
    longest_pause: float = 30.0
    failures: int = 0
    _took: float = 0.0
    _next_at: float = -math.inf
    _under_way: Future[T] | None = None

    def start(self, now: float) -> None:
        """Begin the work if its moment has come; *now* is monotonic. The thread dies with the process."""
        if self._under_way is None and now >= self._next_at:
            self._under_way = on_thread(self._timed)
            self._under_way.add_done_callback(lambda _: self.wake())

    def soon(self) -> None:
        """Let the next :meth:`start` begin at once."""
        self._next_at = float("-inf")

    def result(self, now: float) -> T | None:
        """The result of the work, once; None while there is none. Raises what the work raised."""
        if self._under_way is None or not self._under_way.done():
            return None
        ended, self._under_way = self._under_way, None
        self.failures = 0 if ended.exception() is None else self.failures + 1
        rest = min(max(self.every, self._took * self.share), self.longest)
        self._next_at = now + (self.pause if self.failures else rest)
        return ended.result()

    def _timed(self) -> T:
        began = time.monotonic()
        try:
            return self.work()
        finally:
            self._took = time.monotonic() - began

    @property
    def pause(self) -> float:
        """Seconds from the last failure to the next try."""
        return min(_FIRST_PAUSE * 2.0 ** min(self.failures - 1, 30), self.longest_pause)
