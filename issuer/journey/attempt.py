"""One attempt at one certificate: begin, advance, and do what an error means. Each attempt runs on one thread at a
time.

It decides nothing: the steps are those of begin.py and issue.py, and rules/retry.py says what an error means.
"""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from common.errors import CertfleetError
from issuer.journey.begin import begin, stored_csr
from issuer.journey.issue import advance
from issuer.journey.ports import Tools
from issuer.journey.sealed import require_seal_now
from issuer.journey.withdraw import abandon, journal_again, withdraw
from issuer.journey.work import Work, authority
from issuer.model.acme import Laggard
from issuer.model.enrolment import Enrolment
from issuer.model.errors import GivenUp, LeaseLost, StoreError
from issuer.model.orders import OrderState
from issuer.model.outcomes import Ended, Ending, Waiting
from issuer.rules.change import other_moment, stored, turn
from issuer.rules.due import look_when_held
from issuer.rules.retry import Circumstances, Consequence, Fate, consequence

log = structlog.get_logger()
_WAITS_FOR = {
    OrderState.PUBLISHED: "every server to show the challenge",
    OrderState.VISIBLE: "the CA's validation",
    OrderState.FINALIZING: "the CA's signature",
}
_ANSWERED = (OrderState.VALIDATED, OrderState.FINALIZING)  # the CA looks at no challenge any more
_ANOTHERS_TURN = 0.5  # seconds between two looks whether another certificate's turn is over


class Attempt:
    """Call :meth:`proceed` until it returns an Ended. It occupies no worker between calls."""

    def __init__(self, row: Enrolment, tools: Tools, *, stopping: Callable[[], bool]):
        self.name = row.name
        self._enrolled = row
        self._row = row  # as seen by the CSR that this attempt is for
        self._tools = tools
        self._stopping = stopping
        self._work: Work | None = None
        self._tries = 0  # of the present step

    def proceed(self) -> Ended | Waiting:
        """Go as far as possible now. Never raises."""
        outcome: Ended | Waiting | None = None
        try:
            outcome = self._go_on()
        except CertfleetError as error:
            outcome = self._meet(error)
        except Exception as fault:  # a bug of ours fails this certificate alone
            what = f"{type(fault).__name__}: {fault}"
            log.error("attempt.fault", certificate=self.name, error=what)
            log.info("attempt.fault_traced", certificate=self.name, exc_info=True)
            outcome = self._meet(CertfleetError("a fault in certfleet itself", why=what))
        finally:
            if not isinstance(outcome, Waiting):
                self._tools.turns.leave(self.name)
        return outcome

    def _go_on(self) -> Ended | Waiting:
        """Run the steps. Raises every error that ends one."""
        if self._work is None:
            self._row = turn(self._enrolled, int(self._tools.clock()), self._tools.settings.renewal)
            require_seal_now(self._row, self._tools)
            csr = stored_csr(self._row)
            if not self._tools.turns.take(csr.names, self.name):
                return Waiting(self._tools.clock() + _ANOTHERS_TURN)
            begun = begin(self._row, csr, self._tools)
            if isinstance(begun, Ended):
                return self._with_other(begun) if begun.ending is Ending.HELD else begun
            self._work, self._row = begun, begun.row
        work = self._work
        while not work.record.ended:
            if self._stopping():
                return self.stop()
            again_at = advance(work, self._tools)
            self._tries = 0
            if again_at is not None:
                return Waiting(again_at)
        withdraw(work, self._tools)
        return stored(self._row, work.stored)

    @property
    def waits_for(self) -> str:
        """The next thing that the attempt needs, for people."""
        if self._work is None:
            return "the next attempt"
        return _WAITS_FOR.get(self._work.record.state, "the next step")

    @property
    def laggards(self) -> list[Laggard]:
        """The servers and addresses of ours that keep it waiting."""
        return self._work.unseen if self._work is not None else []

    def stop(self) -> Ended:
        """Give the lease back; the next run goes on with the order. Callable from any thread, also while a step is at
        work: that step can save nothing any more."""
        if self._work is not None:
            with self._kept_going("lease.left"):
                self._tools.orders.release(self._work.record)
        return Ended(self.name, Ending.STOPPED)

    # --- errors ---

    def _meet(self, error: CertfleetError) -> Ended | Waiting:
        meaning = consequence(error, self._circumstances())
        outcome = meaning.outcome
        if isinstance(outcome, Waiting):
            log.info("attempt.blink", certificate=self.name, error=str(error))
            self._tries += 1
            if self._work is not None:
                self._work.forget()
            return outcome
        if outcome.ending is Ending.STOPPED:
            return self.stop()
        if outcome.ending is Ending.GIVEN_UP:
            log.warning("order.given_up", certificate=self.name, why=error.why, hint=error.hint)
        try:
            saved = False
            with self._kept_going("failure.unrecorded"):
                # first: once the order has ended, another issuer may find the row due
                self._save(outcome, meaning)
                saved = True
            with self._kept_going("failure.unrecorded"):
                self._part(meaning.fate, str(error))
        except (LeaseLost, GivenUp) as loss:  # the order is no longer ours: the error does not count
            return self._meet(loss)
        # where the database is away, the other CSR would not get on either
        return self._with_other(outcome) if saved and not isinstance(error, StoreError) else outcome

    def _with_other(self, outcome: Ended) -> Ended:
        """*outcome* with the next moment of the other CSR of the row."""
        other_at = other_moment(self._row, self._enrolled, int(self._tools.clock()), self._tools.settings.renewal)
        return dataclasses.replace(outcome, other_at=other_at)

    def _circumstances(self) -> Circumstances:
        tools, work = self._tools, self._work
        return Circumstances(
            self._row,
            work.record if work is not None else None,
            asked=work is not None and work.asked,
            now=tools.clock(),
            policy=tools.settings.renewal,
            authorities=len(tools.authorities),
            tries=self._tries,
            quick_tries=tools.timing.quick_tries,
            stopping=self._stopping(),
        )

    def _save(self, outcome: Ended, meaning: Consequence) -> None:
        """Save the failure or the hold, and the next moment. Raises StoreError, LeaseLost, GivenUp."""
        tools, failure, now = self._tools, outcome.failure, int(self._tools.clock())
        if failure is None or outcome.ending in (Ending.GIVEN_UP, Ending.UNSEALED):
            return
        if self._work is not None:
            record = self._work.record
            if meaning.held:
                account = authority(record, tools).account_id
                reason = dataclasses.replace(
                    failure, hint=""
                )  # that is about this certificate; a hold may concern others
                tools.holds.add(account, meaning.held, meaning.until, reason, now)
            tools.orders.save(record, record, now)  # renews the lease, or raises
        if outcome.ending is Ending.HELD:
            moment = look_when_held(outcome.retry_at, now)
            tools.certificates.postpone(self.name, moment, change=self._row.changing)
        else:
            tools.outcomes.record_failure(self.name, failure, outcome.retry_at, now, change=self._row.changing)

    def _part(self, fate: Fate, reason: str) -> None:
        """Let the order go. Raises StoreError, LeaseLost, GivenUp."""
        work, tools = self._work, self._tools
        if work is None:
            return
        if fate is Fate.GOES_ON:
            if work.record.state in _ANSWERED:
                withdraw(work, tools)
            tools.orders.release(work.record)
        elif fate is Fate.FORGOTTEN:
            tools.orders.drop(work.record)
        elif fate is Fate.ENDS:
            log.info("order.over", certificate=self.name, state=work.record.state.value, opened=work.record.created_at)
            work.record = tools.orders.fail(work.record, reason, int(tools.clock()))
            abandon(work.record, tools)
            withdraw(work, tools)
        elif fate is Fate.ELSEWHERE:
            journal_again(work, tools)
        elif fate is Fate.ENDED_BEFORE:
            journal_again(work, tools)
            work.record = dataclasses.replace(work.record, state=OrderState.FAILED)
            tools.orders.release(work.record)
            withdraw(work, tools)

    @contextmanager
    def _kept_going(self, event: str) -> Iterator[None]:
        """Log a StoreError and go on: memory keeps the retry of this run."""
        try:
            yield
        except StoreError as refusal:
            log.error(event, certificate=self.name, error=str(refusal))
