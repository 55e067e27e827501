"""Is the daemon well? The answer of /healthz.

The loop and its periodic work write it; the threads of the web server read it.
"""

from collections.abc import Callable

from common.clock import duration_text

LONGEST_TICK = 30.0  # seconds without a tick of the loop
LONGEST_SILENCE = 60.0  # seconds without an answer of the database


class Health:
    """*clock* is monotonic: a corrected wall clock is no outage. Each field has one thread that writes it."""

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._ticked_at = self._answered_at = clock()
        self._trouble = "the database has not been asked yet"
        self._unsaved = ""

    def ticked(self) -> None:
        self._ticked_at = self._clock()

    def database_answered(self) -> None:
        self._trouble = ""
        self._answered_at = self._clock()

    def database_failed(self, why: str) -> None:
        """*why* is a sentence."""
        self._trouble = why

    def attempt_ended(self, unsaved: str = "") -> None:
        """*unsaved*: the sentence why the database took no step of it; "" where it did."""
        self._unsaved = unsaved

    def faults(self) -> list[str]:
        """Sentences about everything that is wrong; [] when all is well."""
        now = self._clock()
        found = []
        if now - self._ticked_at > LONGEST_TICK:
            found.append(f"the loop has not come round for {duration_text(now - self._ticked_at)}")
        if self._trouble:
            found.append(self._trouble)
        elif now - self._answered_at > LONGEST_SILENCE:
            found.append(f"the database has not answered for {duration_text(now - self._answered_at)}")
        if self._unsaved:
            found.append(f"the database answers, and takes no changes: {self._unsaved}")
        return found
