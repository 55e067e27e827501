"""Attempts side by side on worker threads. An attempt that waits for DNS, the CA or its next moment occupies none.

Only this module knows the agenda. `run` and the daemon decide what is put on it and when to end. All methods but
:meth:`Crew.wake` belong to one thread, which drives.
"""

import heapq
import itertools
import queue
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass

import structlog

from common.clock import Clock
from common.text import some
from common.threads import each_on_thread, on_thread
from issuer.journey.attempt import Attempt
from issuer.model.failure import Failure
from issuer.model.outcomes import Ended, Ending, Waiting

log = structlog.get_logger()
_FAULT_PAUSE = 3600  # seconds
_NO_THREAD_PAUSE = 1.0  # seconds
_PUT_BACK = 1.0  # seconds; smaller corrections are normal
_LAST_STEPS = 2.0  # seconds in which a step at work may finish at the end
_LAST_LEASES = 1.0  # seconds after that for giving leases back
_LEASES_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Returned:
    """An attempt that has ended, *seconds* after it began to act, its waits included."""

    attempt: Attempt
    ended: Ended
    seconds: float


class Crew:
    """:meth:`add` attempts, then :meth:`start` and :meth:`collect` in turn."""

    def __init__(self, clock: Clock):
        self._clock = clock
        self._results: queue.SimpleQueue[tuple[Attempt, Ended | Waiting] | None] = queue.SimpleQueue()
        self._agenda: list[tuple[float, int, Attempt, bool]] = []  # True: it follows a clock that is put back
        self._ahead = self._clock_ahead()
        self._counter = itertools.count()
        self._began: dict[str, float] = {}
        self._at_work: dict[str, Attempt] = {}
        self.names: set[str] = set()  # of all attempts, at work or waiting

    @property
    def running(self) -> int:
        """How many attempts are at work, each on a thread."""
        return len(self._at_work)

    @property
    def idle(self) -> bool:
        return not self._agenda and not self.running

    @property
    def next_at(self) -> float | None:
        """The first moment of the agenda (epoch seconds)."""
        return self._agenda[0][0] if self._agenda else None

    @property
    def waiting(self) -> list[Attempt]:
        """The attempts that occupy no worker now."""
        return [attempt for _, _, attempt, _ in self._agenda]

    def add(self, attempt: Attempt, at: float) -> None:
        """Let *attempt* act at a moment (epoch seconds), or as soon after it as a worker is free."""
        self.names.add(attempt.name)
        self._put(attempt, at, moves=at <= self._clock())

    def start(self, workers: int) -> None:
        """Let those act whose moment has come, at most *workers* at once."""
        self._follow_clock()
        while self._agenda and self._agenda[0][0] <= self._clock() and self.running < workers:
            attempt = self._agenda[0][2]
            try:
                begun = on_thread(attempt.proceed)
            except RuntimeError as refusal:  # the system gives no more threads
                log.warning("attempt.no_thread", certificate=attempt.name, error=str(refusal))
                self._put_off(_NO_THREAD_PAUSE)
                return
            heapq.heappop(self._agenda)
            self._began.setdefault(attempt.name, self._clock())
            self._at_work[attempt.name] = attempt
            begun.add_done_callback(self._deliver(attempt))

    def collect(self, workers: int, longest: float | None) -> Returned | None:
        """Wait for one result, for the next moment of the agenda, for :meth:`wake` or for *longest* seconds. Returns an
        attempt that has ended, else None."""
        pause = longest
        if self.running < workers and self._agenda:
            until_next = max(0.0, self._agenda[0][0] - self._clock())
            pause = until_next if pause is None else min(pause, until_next)
        try:
            result = self._results.get(timeout=pause)
        except queue.Empty:
            return None
        if result is None:
            return None
        attempt, outcome = result
        del self._at_work[attempt.name]
        if isinstance(outcome, Waiting):
            self._put(attempt, outcome.at, moves=True)
            return None
        return self._returned(attempt, outcome)

    def wake(self) -> None:
        """End a wait of :meth:`collect` at once. For signal handlers and other threads."""
        self._results.put(None)

    def disband(self) -> Iterator[Returned]:
        """End within seconds: nothing is begun, steps at work may finish, all leases are given back. A step that waits
        for a silent server is left, as by a kill: it was saved before, and the next run goes on from there. A lease
        that cannot be given back in time expires by itself."""
        until = time.monotonic() + _LAST_STEPS
        while self.running and time.monotonic() < until:
            returned = self.collect(0, max(0.0, until - time.monotonic()))
            if returned is not None:
                yield returned
        for attempt in self._at_work.values():
            log.info("attempt.left", certificate=attempt.name)
        left = [*self.waiting, *self._at_work.values()]
        self._agenda.clear()
        self._at_work.clear()
        stops = each_on_thread(Attempt.stop, left, _LEASES_AT_ONCE)
        wait(stops, until + _LAST_LEASES - time.monotonic())
        for attempt in left:
            yield self._returned(attempt, Ended(attempt.name, Ending.STOPPED))

    def _put(self, attempt: Attempt, at: float, *, moves: bool) -> None:
        heapq.heappush(self._agenda, (at, next(self._counter), attempt, moves))

    def _put_off(self, seconds: float) -> None:
        """Let nothing act for so long."""
        first = self._clock() + seconds
        self._agenda = [(max(at, first), number, attempt, moves) for at, number, attempt, moves in self._agenda]
        heapq.heapify(self._agenda)

    def _clock_ahead(self) -> float:
        return self._clock() - time.monotonic()

    def _follow_clock(self) -> None:
        """A clock that was put back prolongs no wait for an answer or a worker. A saved moment stays as it is."""
        before, self._ahead = self._ahead, self._clock_ahead()
        back = before - self._ahead
        if back >= _PUT_BACK:
            self._agenda = [(at - back * moves, number, attempt, moves) for at, number, attempt, moves in self._agenda]
            heapq.heapify(self._agenda)

    def _returned(self, attempt: Attempt, ended: Ended) -> Returned:
        self.names.discard(attempt.name)
        now = self._clock()
        return Returned(attempt, ended, max(0.0, now - self._began.pop(attempt.name, now)))

    def _deliver(self, attempt: Attempt) -> Callable[[Future[Ended | Waiting]], None]:
        def deliver(future: Future[Ended | Waiting]) -> None:
            fault = future.exception()
            if fault is None:
                self._results.put((attempt, future.result()))
                return
            moment = int(self._clock()) + _FAULT_PAUSE
            failure = Failure("a fault in certfleet itself")
            self._results.put((attempt, Ended(attempt.name, Ending.FAILED, "", moment, failure)))
            # last: a failing log call must not keep the result back
            log.error("attempt.fault", certificate=attempt.name, exc_info=fault)

        return deliver


def waits(attempts: list[Attempt]) -> str:
    """The things that *attempts* wait for, for people: each with some of the certificates and of the laggards."""
    names: dict[str, list[str]] = {}
    laggards: dict[str, list[str]] = {}
    for attempt in sorted(attempts, key=lambda each: each.name):
        names.setdefault(attempt.waits_for, []).append(attempt.name)
        laggards.setdefault(attempt.waits_for, []).extend(map(str, attempt.laggards))
    return "; ".join(
        f"{reason} ({some(names[reason])})" + (f": {some(late)}" if late else "")
        for reason, late in ((reason, list(dict.fromkeys(laggards[reason]))) for reason in sorted(names))
    )


def how_far(done: int, every: int, running: int, waits_for: Iterable[str]) -> str:
    """One line for people: how many of *every* attempt are done, how many are at work, and what the others wait for."""
    waiting = [f"{count} wait for {reason}" for reason, count in sorted(Counter(waits_for).items())]
    return ", ".join([f"{done} of {every} done", f"{running} at work", *waiting])
