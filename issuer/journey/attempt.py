"""One attempt at one certificate: open, advance, and what an error means for the order. One thread each.

An error is either the end of the order (FAILED, challenges withdrawn, a new order next time) or an interruption of it:
then the order stays as it is, and the next attempt goes on where this one stopped, until it is too old. Of what comes
from the CA only its own word is an end: a problem document, an order or authorization that it calls invalid, a wrong
certificate.
"""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from http.client import SERVICE_UNAVAILABLE, TOO_MANY_REQUESTS
from typing import TypeGuard

import structlog

from common.clock import duration_text
from common.errors import CertfleetError, ConfigError, FileError, Retry
from issuer.journey.begin import begin, stored_csr
from issuer.journey.issue import Work, abandon, advance, authority, withdraw
from issuer.journey.ports import Tools
from issuer.model.acme import Laggard
from issuer.model.enrolment import Enrolment
from issuer.model.errors import AcmeProblem, GivenUp, LeaseLost, OtherAccount, Overtaken, StoreError
from issuer.model.failure import Failure
from issuer.model.limits import ACCOUNT, LONGEST_HOLD, hold_scope
from issuer.model.orders import OrderState
from issuer.model.outcomes import NOT_AGAIN, Ended, Ending, Waiting
from issuer.rules.renewal import Remaining, remaining, retry_moment

log = structlog.get_logger()
_WAITS_FOR = {
    OrderState.PUBLISHED: "every server to show the challenge",
    OrderState.VISIBLE: "the CA's validation",
    OrderState.FINALIZING: "the CA's signature",
}
_ANSWERED = (OrderState.VALIDATED, OrderState.FINALIZING)  # nobody looks at the challenges any more
_ANOTHERS_TURN = 0.5  # seconds between two looks whether it is over
_QUICK_TRIES = 3  # a blink of the network costs seconds, not a failed attempt


class Fate(Enum):
    """What an error leaves of the order."""

    LIVES = "the next attempt goes on with it, also where the certificate is disabled"
    OVER = "nobody goes on with it"
    UNASKED = "none: the CA cannot know of it, so it is forgotten"


class Attempt:
    """Call :meth:`proceed` until it returns an Ended; between calls it occupies no worker."""

    def __init__(self, row: Enrolment, tools: Tools, *, stopping: Callable[[], bool]):
        self.name = row.name
        self._row = row
        self._tools = tools
        self._stopping = stopping
        self._work: Work | None = None
        self._blinks = 0

    def proceed(self) -> Ended | Waiting:
        """Go as far as possible now. Never raises."""
        outcome: Ended | Waiting | None = None
        try:
            outcome = self._proceed()
            return outcome
        finally:
            if not isinstance(outcome, Waiting):
                self._tools.turns.leave(self.name)

    def _proceed(self) -> Ended | Waiting:
        try:
            return self._go_on()
        except LeaseLost:
            return Ended(self.name, Ending.ELSEWHERE)
        except GivenUp as error:
            return self._given_up(error)
        except Overtaken as error:
            if self._work is not None:
                withdraw(self._work, self._tools)
            return Ended(self.name, Ending.NOT_DUE, str(error))

    def _go_on(self) -> Ended | Waiting:
        """The steps, and what their errors mean. Raises LeaseLost, GivenUp, Overtaken, for then it is not ours to go on
        with, nor to call failed."""
        try:
            if self._work is None:
                csr = stored_csr(self._row)
                if not self._tools.turns.take(csr.names, self.name):
                    return Waiting(self.name, self._tools.clock() + _ANOTHERS_TURN)
                begun = begin(self._row, csr, self._tools)
                if isinstance(begun, Ended):
                    return begun
                self._work, self._row = begun, begun.row
            return self._advance(self._work)
        except (LeaseLost, GivenUp, Overtaken):
            raise
        except CertfleetError as error:
            return self._trouble(error)
        except Exception as fault:
            log.error("attempt.fault", certificate=self.name, error=f"{type(fault).__name__}: {fault}")
            log.info("attempt.fault_traced", certificate=self.name, exc_info=True)
            return self._failed(CertfleetError("a fault in certfleet itself", why=f"{type(fault).__name__}: {fault}"))

    @property
    def waits_for(self) -> str:
        """What the attempt needs next, for people."""
        if self._work is None:
            return "the next attempt"
        return _WAITS_FOR.get(self._work.record.state, "the next step")

    @property
    def laggards(self) -> list[Laggard]:
        """Who keeps it waiting; [] where that is nobody of ours."""
        return self._work.unseen if self._work is not None else []

    @property
    def state(self) -> OrderState | None:
        """Where its order stands; None before there is one."""
        return self._work.record.state if self._work is not None else None

    def stop(self) -> Ended:
        """Give the lease back; the order goes on at the next run. From any thread, also while a step is at work: that
        one saves nothing any more."""
        if self._work is not None:
            self._let_go(self._work)
        return Ended(self.name, Ending.STOPPED)

    def _let_go(self, work: Work) -> None:
        try:
            self._tools.orders.release(work.record)
        except StoreError as error:
            log.warning("lease.left", certificate=self.name, error=str(error))

    def _advance(self, work: Work) -> Ended | Waiting:
        while not work.record.ended:
            if self._stopping():
                return self.stop()
            again_at = advance(work, self._tools)
            self._blinks = 0
            if again_at is not None:
                return Waiting(self.name, again_at)
        withdraw(work, self._tools)
        return Ended(self.name, Ending.STORED, work.stored)

    def _given_up(self, error: GivenUp) -> Ended:
        """Somebody else ended the order: what it has published is taken back, now that nothing more comes."""
        log.warning("order.given_up", certificate=self.name, why=error.why, hint=error.hint)
        if self._work is not None:
            self._work.record = dataclasses.replace(self._work.record, state=OrderState.FAILED)
            self._let_go(self._work)
            withdraw(self._work, self._tools)
        return Ended(self.name, Ending.GIVEN_UP, failure=Failure.of(error))

    def _trouble(self, error: CertfleetError) -> Ended | Waiting:
        if interrupts(error):
            if self._work is not None:
                self._work.forget()
            if holds_up(error):
                return self._held(error)
            if self._stopping():  # no failure of the certificate: the next run asks again
                return self.stop()
            self._blinks += 1
            if self._blinks <= _QUICK_TRIES and _may_blink(error):
                log.info("attempt.blink", certificate=self.name, error=str(error))
                return Waiting(self.name, self._tools.clock() + 0.25 * 2**self._blinks)
        return self._failed(error)

    def _held(self, error: AcmeProblem) -> Ended:
        """The CA named a moment: keep to it, for the account or this certificate, and count no failure."""
        now = int(self._tools.clock())
        assert self._work is not None  # noqa: S101 - only an order's request can be refused so
        scope = hold_scope(error, self.name, now)
        longest = _longest_hold(scope, remaining(self._row, now))
        until = min(max(int(error.retry_after or 0), now + 1), now + longest)
        fate = self._fate(error, now)
        failure = Failure.of(error, hint="")  # an answer of the CA that names a moment needs nothing done
        with self._saving():
            account = authority(self._work.record, self._tools).account_id
            self._tools.holds.add(account, scope, until, failure, now)
            self._make_sure(now)
            self._tools.certificates.postpone(self.name, until)
            self._part(fate, failure, now)
        return Ended.held(self.name, until, failure, by_itself=self._again(fate))

    def _failed(self, error: CertfleetError) -> Ended:
        """Count it and save reason and next moment; end the order unless it can go on. Neither waits for the other."""
        now = int(self._tools.clock())
        schedule = self._tools.settings.renewal.retry
        failures = self._row.failures + 1
        left = remaining(self._row, now)
        another = len(self._tools.authorities) > 1 and (left is None or left.little)  # CA, which may know no such no
        hopeless = error.retry is Retry.NEVER and not another  # once a day, as it may change, however little is left
        retry_at = now + schedule[-1] if hopeless else retry_moment(failures, now, schedule, left)
        fate = self._fate(error, now)
        again = self._again(fate)
        failure = Failure.of(error, hint=_remedy(error, schedule, again=again, hopeless=hopeless))
        with self._saving():
            self._make_sure(now)
            # before the order ends: another issuer could take the row for due
            self._tools.certificates.record_failure(self.name, failure, retry_at, now)
        with self._saving():
            self._part(fate, failure, now)
        return Ended(self.name, Ending.FAILED, "", retry_at, failure, failures, again)

    @contextmanager
    def _saving(self) -> Iterator[None]:
        """What the database does not take is said and stops nothing else: memory keeps the retry of this run."""
        try:
            yield
        except StoreError as refusal:
            log.error("failure.unrecorded", certificate=self.name, error=str(refusal))

    def _make_sure(self, now: int) -> None:
        """Raises GivenUp, LeaseLost: an error means nothing for an order that somebody else has ended or taken over."""
        if self._work is not None and not self._work.record.ended:
            self._tools.orders.save(self._work.record, self._work.record, now)

    def _fate(self, error: CertfleetError, now: int) -> Fate:
        """What *error* means for the order: hint, next moment and tidying up follow from it."""
        work = self._work
        if work is None:
            return Fate.UNASKED
        left = remaining(self._row, now)
        lives = interrupts(error) and now < work.record.kept_until(hurry=left is not None and left.little)
        if work.record.ended or not (lives or self._belongs_elsewhere(error)):
            return Fate.OVER
        return Fate.UNASKED if work.record.state is OrderState.PLANNED and not work.asked else Fate.LIVES

    def _again(self, fate: Fate) -> bool:
        """Is there anybody who tries again by himself?"""
        return self._row.enabled or fate is Fate.LIVES

    def _belongs_elsewhere(self, error: CertfleetError) -> bool:
        """Left to the issuer that has the key, but not for ever: when tries come once a day, nobody will."""
        return isinstance(error, OtherAccount) and self._row.failures < len(self._tools.settings.renewal.retry)

    def _part(self, fate: Fate, failure: Failure, now: int) -> None:
        """Let the order go, as its fate is. Raises StoreError, GivenUp, LeaseLost."""
        work = self._work
        if work is None or work.record.ended:
            return
        if fate is Fate.OVER:
            log.info("order.over", certificate=self.name, state=work.record.state.value, opened=work.record.created_at)
            work.record = self._tools.orders.fail(work.record, failure.sentence, now)
            abandon(work.record, self._tools)
            withdraw(work, self._tools)
            return
        if fate is Fate.UNASKED:
            self._tools.orders.drop(work.record)
        else:
            if work.record.state in _ANSWERED:
                withdraw(work, self._tools)
            self._tools.orders.release(work.record)
        self._work = None


def _remedy(error: CertfleetError, schedule: tuple[int, ...], *, again: bool, hopeless: bool) -> str:
    """What to do, and for what only a person can mend, or has asked for, that it is not tried soon by itself."""
    rarely = f"tried every {duration_text(schedule[-1])} only; `issue NAME` once it is mended" if again else NOT_AGAIN
    return "; ".join(filter(None, [error.hint, rarely if hopeless or not again else ""]))


def _longest_hold(scope: str, left: Remaining | None) -> int:
    """A day at most, and an eighth of what is left when little is; but one certificate that runs out never sends the
    whole account back to its CA too soon."""
    if scope == ACCOUNT or left is None or not left.little:
        return LONGEST_HOLD
    return max(60, left.seconds // 8)


def interrupts(error: CertfleetError) -> bool:
    """Does the order live on? True when nobody said no: no answer or an odd one, a server's own trouble, a limit, our
    database, files and configuration."""
    return error.retry is Retry.SOON or isinstance(error, ConfigError | FileError) or holds_up(error)


def _may_blink(error: CertfleetError) -> bool:
    """Is it worth a few more tries at once? Not where a limit or a file is in the way; the store has tried already."""
    limited = isinstance(error, AcmeProblem) and (error.kind == "rateLimited" or error.status == TOO_MANY_REQUESTS)
    return error.retry is Retry.SOON and not limited and not isinstance(error, StoreError)


def holds_up(error: CertfleetError) -> TypeGuard[AcmeProblem]:
    """Did the CA ask us to come back at a moment that it named?"""
    busy = (TOO_MANY_REQUESTS, SERVICE_UNAVAILABLE)
    return isinstance(error, AcmeProblem) and error.status in busy and error.retry_after is not None
