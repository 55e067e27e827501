"""One pass over what is due: attempts side by side, failures again at their moments, until all is well or time is up.

It decides nothing about certificates or orders, only the sequence. ``workers`` bounds the attempts that act at once; an
attempt that waits for DNS, the CA or its next try occupies none.
"""

import contextlib
import dataclasses
import math
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import structlog

from common.clock import utc_text
from common.errors import CertfleetError
from common.threads import on_thread
from issuer.journey.attempt import Attempt
from issuer.journey.looks import left_alone
from issuer.journey.ports import Tools
from issuer.journey.sweep import sweep
from issuer.loops.crew import Crew, how_far, waits
from issuer.model.enrolment import Enrolment
from issuer.model.errors import StoreError, Untidied, noted
from issuer.model.events import Event, EventKind
from issuer.model.outcomes import Ended, Ending
from issuer.model.strangers import RowsFound
from issuer.model.tries import BY_NEXT_RUN, Tries
from issuer.rules.change import failed_as
from issuer.rules.due import GIVEN_UP, MISFIT, urgency
from issuer.rules.imported import sentence
from issuer.rules.shared_failures import complaints

log = structlog.get_logger()
_MOMENT = 2.0  # seconds: shorter waits are not told; during longer ones the clock is looked at every so often
_ONE_ROUND = 3600.0  # seconds that even a single round gives a slow CA


class Say(Protocol):
    def __call__(self, *lines: str) -> None:
        """Print lines."""


def silent(*_lines: str) -> None:
    """A Say that says nothing."""


@dataclass(slots=True)
class Summary:
    """How a pass ended, by certificate. *failures*: the last one of each, in this run or an earlier one. *troubles*:
    the errors that kept it from tidying up. *misfits*: not due, and their certificate is for another key.
    *planted*: orders that were not ours, and were ended. *strangers*: how many rows nobody enrolled."""

    endings: dict[str, Ended] = field(default_factory=dict)
    failures: dict[str, Ended] = field(default_factory=dict)
    troubles: list[CertfleetError] = field(default_factory=list)
    misfits: list[str] = field(default_factory=list)
    planted: list[Ended] = field(default_factory=list)
    strangers: int = 0
    stopped: bool = True  # until the pass has ended

    @property
    def counts(self) -> dict[str, int]:
        """How many ended so, by the words for people, in the order of the endings."""
        order = list(Ending)
        ranked = sorted(self.endings.values(), key=lambda ended: (order.index(ended.ending), ended.before))
        return dict(Counter(ended.word for ended in ranked))

    @property
    def well(self) -> bool:
        ended = self.endings.values()
        kept = any(one.ending is Ending.ELSEWHERE and one.failure for one in ended)
        return not (self.misfits or self.planted or kept) and all(one.ending.is_well for one in ended)

    @property
    def news(self) -> list[Ended]:
        """The endings as people are to hear of them: a failure stays one, also where a hold or a stop came after it."""
        return [
            dataclasses.replace(self.failures[ended.name], retry_at=ended.retry_at, by_itself=ended.by_itself)
            if ended.ending in (Ending.HELD, Ending.STOPPED) and ended.name in self.failures
            else ended
            for ended in self.endings.values()
        ]


class Pass:
    """One run over many certificates. :meth:`stop` may be called from a signal handler."""

    def __init__(self, tools: Tools, say: Say, complain: Say, *, at_end: bool = False):
        """*at_end*: complain once at the end, and only of what is not well then. Otherwise whenever nothing is at work,
        so that certificates that share a failure are told together."""
        self._tools = dataclasses.replace(tools, tell=self._hear)
        self._tell = tools.tell
        self._say = say
        self._complain = complain
        self._complains_at_end = at_end
        self._crew = Crew(tools.clock)
        self._stopping = False
        self.summary = Summary()  # true at any moment: a pass may be abandoned
        self._waited_for = ""  # the wait that people were told of last
        self._untold: list[Ended] = []  # the failures that no complaint has told yet
        self._ends = -math.inf  # monotonic: failures are retried until then
        self._rows: dict[str, Enrolment] = {}
        self.progress = ""  # how far it is, in a line for people; read by another thread
        self._progress_at = -math.inf

    def stop(self) -> None:
        """End within seconds: nothing new is begun."""
        self._stopping = True
        self._crew.wake()

    def run(self, rows: Sequence[Enrolment], *, stay: float) -> None:
        """Issue what is due among *rows* and go on with orders under way. Retry failures for *stay* seconds; 0: do
        not."""
        began = time.monotonic()
        self._ends = began + stay if stay else -math.inf
        self.summary.endings = {row.name: Ended(row.name, Ending.STOPPED) for row in rows}
        self.summary.failures = {row.name: _failure(row) for row in filter(None, map(failed_as, rows))}
        left_overs = on_thread(partial(sweep, self._tools))
        wait([left_overs], self._tools.timing.head_start)  # a silent name server may take longer
        now = int(self._tools.clock())
        under_way = {record.name for record in self._tools.orders.under_way(now)}
        # the most urgent first; equally urgent ones in random order, so that two issuers share the work
        for row in sorted(rows, key=lambda row: (*urgency(row, now), random.random())):
            self._consider(row, resumes=row.name in under_way)
        self._drive(max(self._ends, began + _ONE_ROUND))
        not_due = [row for row in rows if self.summary.endings[row.name].ending is Ending.NOT_DUE]
        self.summary.misfits = [row.name for row in not_due if row.enabled and row.is_misfit]
        for name in self.summary.misfits:
            self._complain(f"warning: {name}: {MISFIT}")
        self._tell_failures(self.summary.news if self._complains_at_end else self._untold, BY_NEXT_RUN)
        self._tell_failures(self.summary.planted, BY_NEXT_RUN)
        if not self._stopping:
            wait([left_overs])
            with noted(self.summary.troubles):  # told after the endings
                # once more, for servers that were down; a silent server costs a run its time limit once
                silent = left_overs.result().silent if left_overs.exception() is None else ()
                if left := sweep(self._tools, without=silent).left:
                    raise Untidied(left)
        self.summary.stopped = self._stopping

    def tell_rows(self, found: RowsFound) -> None:
        """Say which rows are not as they should be, besides those of which the pass has said so."""
        self.summary.strangers = len(found.strangers)
        new = [ended for ended in found.endings if not self._has_told(ended)]
        for ended in new:
            self.summary.endings[ended.name] = ended
            self._say(ended.line(BY_NEXT_RUN))
        self._tell_failures(new, BY_NEXT_RUN)
        if found.crowd is not None:
            self._complain(*found.crowd.paragraph())

    def _has_told(self, ended: Ended) -> bool:
        before = self.summary.endings.get(ended.name)
        return before is not None and before.failure is not None

    def _consider(self, row: Enrolment, *, resumes: bool) -> None:
        decision = left_alone(row, self._tools, resumes=resumes)
        if decision is None:
            self._add(row, self._tools.clock())
            return
        seen = dataclasses.replace(row, failures=0, failure=None) if decision.over else row
        failed = failed_as(seen) if decision.reason != GIVEN_UP else None
        next_at = failed.due_at if failed is not None and failed.changing else decision.until
        if failed is not None and next_at is not None:
            if self._comes_before(self._ends, next_at):
                self._add(row, next_at)
            else:
                self._end(dataclasses.replace(_failure(failed, next_at), before=True))
            return
        self.summary.endings[row.name] = Ended(row.name, Ending.NOT_DUE, decision.reason, decision.until or 0)
        is_mailed = decision.over or decision.reason == GIVEN_UP  # once
        if decision.news is not None and not is_mailed:
            self._complain(f"warning: {row.name}: {sentence(row) if row.enabled else decision.news.told.sentence}")

    def _add(self, row: Enrolment, at: float) -> None:
        self._rows[row.name] = row
        self._crew.add(Attempt(row, self._tools, stopping=lambda: self._stopping), at)

    def _comes_before(self, end: float, moment: float) -> bool:
        """Is *moment* (epoch seconds) not later than *end* (monotonic), by the clock as it is now? A clock that was
        ahead and is put right does not prolong a run."""
        return moment - self._tools.clock() <= end - time.monotonic()

    def _drive(self, linger_until: float) -> None:
        crew, workers = self._crew, self._tools.settings.acme.workers
        while not self._stopping and not crew.idle:
            crew.start(workers)  # first: it adapts the agenda to a changed clock
            self._note_progress()
            if not crew.running:
                if crew.next_at is not None and not self._comes_before(linger_until, crew.next_at):
                    break
                self._tell_wait()
            returned = crew.collect(workers, _MOMENT)
            if returned is not None:
                self._end(returned.ended)
                if self._stays_for(returned.ended):
                    self._try_again(returned.ended)
        for returned in crew.disband():
            self._end(returned.ended)

    def _note_progress(self) -> None:
        """At most once a second: there may be very many attempts."""
        if time.monotonic() < self._progress_at + 1:
            return
        self._progress_at, crew = time.monotonic(), self._crew
        waiting = [attempt.waits_for for attempt in crew.waiting]
        self.progress = how_far(len(self._rows) - len(crew.names), len(self._rows), crew.running, waiting)

    def _stays_for(self, outcome: Ended) -> bool:
        again = outcome.look_again_at > 0 and outcome.ending in (Ending.FAILED, Ending.HELD, Ending.STORED)
        return again and self._comes_before(self._ends, outcome.look_again_at)

    def _try_again(self, outcome: Ended) -> None:
        try:
            row = self._tools.certificates.get([outcome.name])[0]
        except StoreError:  # the database is away: the row as read before will do
            row = self._rows[outcome.name]
        except CertfleetError as error:  # removed meanwhile
            log.warning("retry.dropped", certificate=outcome.name, error=str(error))
            return
        self._add(row, outcome.look_again_at)

    def _end(self, ended: Ended) -> None:
        self.summary.endings[ended.name] = ended
        if ended.ending is Ending.FAILED:
            self.summary.failures[ended.name] = ended
        if not ended.before:  # the others are told by the complaint, which joins those with one failure
            self._say(ended.line(self._tries))
        if not self._complains_at_end:
            self._untold.append(ended)

    @property
    def _tries(self) -> Tries:
        """This run makes the attempts that fall before its end."""
        if self._stopping:
            return BY_NEXT_RUN
        return Tries(self._tools.clock() + self._ends - time.monotonic())

    def _hear(self, event: Event) -> None:
        """On the thread of an attempt."""
        if event.kind is EventKind.PLANTED:
            self.summary.planted.append(Ended(event.name, Ending.PLANTED, failure=event.told))
        self._tell(event)

    def _tell_failures(self, endings: Sequence[Ended], tries: Tries) -> None:
        for paragraph in complaints(endings, tries):
            self._complain(*paragraph)
        self._untold = []

    def _tell_wait(self) -> None:
        """Nothing is at work: say what failed, and what the run stays for, if that is more than a moment; the same
        thing only once."""
        at = self._crew.next_at
        if at is None or at - self._tools.clock() < _MOMENT:
            return
        self._tell_failures(self._untold, self._tries)
        wanted = waits(self._crew.waiting)
        if wanted != self._waited_for:
            self._waited_for = wanted
            until = self._tries.until
            ends = f"; stays until {utc_text(until)} at most, Ctrl-C ends it sooner" if until > at else ""
            self._say(f"waiting for {wanted}; looks again at {utc_text(at)}{ends}")


def _failure(row: Enrolment, next_at: int = 0) -> Ended:
    """The failure that an earlier run left in *row*."""
    return Ended(row.name, Ending.FAILED, "", next_at, row.failure, row.failures)


def stay_on_one() -> None:
    """Keep this thread, and those that it begins, on one of the processors that this process may use.

    Python lets one thread act at a time. A thread that gives way for a system call wakes the next one, perhaps on
    another processor, which is slow. Kept to one, a run of 100 certificates is 1.22 times faster and takes 1.19 times
    less CPU (medians of 9 rounds on two processors, quartiles of the time 1.20 to 1.25). The processor is chosen by
    chance: the kernel moves away others that are busy there. Where this is not allowed, nothing changes.
    """
    several_at_a_time = not getattr(sys, "_is_gil_enabled", lambda: True)()
    if several_at_a_time or not hasattr(os, "sched_setaffinity"):
        return
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {random.choice(sorted(os.sched_getaffinity(0)))})
