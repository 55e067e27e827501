"""One pass over what is due: attempts side by side, failures again at their moments, until all is well or time is up.

Decides nothing about certificates or orders: it keeps the clock, the workers and the order of events. ``workers``
bounds the attempts that act at once; those that wait for DNS, the CA or their next try occupy none.
"""

import heapq
import itertools
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import structlog

from common.clock import utc_text
from common.errors import CertfleetError
from issuer.attempt import Attempt, Ended, Ending, Waiting, ending_line
from issuer.issue import sweep
from issuer.model import Enrolment
from issuer.plan import Due, plan
from issuer.ports import Tools

Say = Callable[[str], None]
log = structlog.get_logger()
_MOMENT = 2.0  # seconds


@dataclass(slots=True)
class Summary:
    """How a pass ended, by certificate."""

    endings: dict[str, Ended] = field(default_factory=dict)
    stopped: bool = False

    def names(self, ending: Ending) -> list[str]:
        return sorted(name for name, ended in self.endings.items() if ended.ending is ending)

    @property
    def well(self) -> bool:
        return not self.names(Ending.FAILED) and not self.names(Ending.STOPPED)


class Pass:
    """One run over many certificates. :meth:`stop` may be called from a signal handler."""

    def __init__(self, tools: Tools, say: Say):
        self._tools = tools
        self._say = say
        self._results: queue.SimpleQueue[tuple[Attempt, Ended | Waiting] | None] = queue.SimpleQueue()
        self._agenda: list[tuple[float, int, Attempt]] = []
        self._counter = itertools.count()
        self._stopping = False
        self._summary = Summary()
        self._told = ""

    def stop(self) -> None:
        """End soon: steps under way are finished, nothing new is begun."""
        self._stopping = True
        self._results.put(None)

    def run(self, rows: Sequence[Enrolment], *, until: float) -> Summary:
        """Issue what is due among *rows* and go on with orders under way; retry failures until *until*."""
        sweep(self._tools)
        under_way = {record.name for record in self._tools.orders.under_way(int(self._tools.clock()))}
        for row in rows:
            self._plan(row, resumes=row.name in under_way)
        with ThreadPoolExecutor(self._tools.settings.acme.workers, thread_name_prefix="issue") as pool:
            self._drive(pool, until)
        self._summary.stopped = self._stopping
        return self._summary

    def _plan(self, row: Enrolment, *, resumes: bool) -> None:
        now = int(self._tools.clock())
        decision = plan(row, now, self._tools.settings.renewal)
        if isinstance(decision, Due) or (resumes and decision.until is None):  # disabled, but its order is out there
            self._schedule(now, Attempt(row, decision.reason, self._tools, stopping=lambda: self._stopping))
            return
        self._summary.endings[row.name] = Ended(row.name, Ending.NOT_DUE, decision.reason, decision.until or 0)
        if decision.until is not None and decision.until != row.due_at:
            self._tools.certificates.postpone(row.name, decision.until)

    def _schedule(self, at: float, attempt: Attempt) -> None:
        heapq.heappush(self._agenda, (at, next(self._counter), attempt))

    def _drive(self, pool: ThreadPoolExecutor, until: float) -> None:
        running = 0
        while not self._stopping and (self._agenda or running):
            while (
                self._agenda
                and self._agenda[0][0] <= self._tools.clock()
                and running < self._tools.settings.acme.workers
            ):
                attempt = heapq.heappop(self._agenda)[2]
                pool.submit(attempt.proceed).add_done_callback(self._deliver(attempt))
                running += 1
            if not running:
                self._tell_wait()
            running -= self._collect(running, until)
        while running:  # stopping: the steps under way end by their own time limits
            running -= self._collect(running, until)
        for _, _, attempt in self._agenda:
            self._end(attempt.stop())

    def _deliver(self, attempt: Attempt) -> Callable[[Future[Ended | Waiting]], None]:
        return lambda future: self._results.put((attempt, future.result()))

    def _collect(self, running: int, until: float) -> int:
        """Take one result, or wait for the next moment of the agenda; returns how many attempts came back (0 or 1)."""
        free = running < self._tools.settings.acme.workers and self._agenda
        wait = max(0.0, self._agenda[0][0] - self._tools.clock()) if free else None
        try:
            result = self._results.get(timeout=wait)
        except queue.Empty:
            return 0
        if result is None:  # woken by stop()
            return 0
        attempt, outcome = result
        if isinstance(outcome, Waiting):
            self._schedule(outcome.at, attempt)
        else:
            self._end(outcome)
            if outcome.ending is Ending.FAILED and outcome.retry_at <= until:
                self._try_again(outcome)
        return 1

    def _try_again(self, outcome: Ended) -> None:
        try:
            row = self._tools.certificates.get([outcome.name])[0]
        except CertfleetError as error:  # removed meanwhile, or the database is away: the next run sees to it
            log.warning("retry.dropped", certificate=outcome.name, error=str(error))
            return
        self._schedule(outcome.retry_at, Attempt(row, "retry", self._tools, stopping=lambda: self._stopping))

    def _end(self, outcome: Ended) -> None:
        self._summary.endings[outcome.name] = outcome
        self._say(ending_line(outcome))

    def _tell_wait(self) -> None:
        """Nothing is under way: say what the run stays for, if it is more than a moment; the same thing only once."""
        at = self._agenda[0][0]
        if at - self._tools.clock() < _MOMENT:
            return
        reasons: dict[str, list[str]] = {}
        for _, _, attempt in sorted(self._agenda, key=lambda entry: entry[2].name):
            reasons.setdefault(attempt.waits_for, []).append(attempt.name)
        told = "; ".join(f"{reason} ({_some(names)})" for reason, names in sorted(reasons.items()))
        if told != self._told:
            self._told = told
            self._say(f"waiting for {told}; looks again at {utc_text(at)}")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
