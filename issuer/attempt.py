"""One attempt at one certificate: lease, check again, advance, and what an error means for the order. One thread each.

An error is either the end of the order (FAILED, challenges withdrawn, a new order next time) or an interruption of it
(the CA or the network away): then the order stays as it is, and the next attempt goes on where this one stopped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from http.client import TOO_MANY_REQUESTS

import structlog

from common.clock import utc_text
from common.errors import CertfleetError, RefusedError, Retry
from issuer.csr import CsrRefused, read_csr
from issuer.errors import AcmeProblem, LeaseLost, StoreError
from issuer.issue import Work, advance, withdraw
from issuer.model import Enrolment
from issuer.order_states import OrderState
from issuer.plan import Due, plan, retry_moment
from issuer.ports import Tools

log = structlog.get_logger()
_WAITS_FOR = {
    OrderState.PUBLISHED: "the name servers",
    OrderState.VISIBLE: "the CA's validation",
    OrderState.FINALIZING: "the CA's signature",
}
_QUICK_TRIES = 3  # a blink of the network costs seconds, not a failed attempt


class Ending(Enum):
    STORED = "stored"
    FAILED = "failed"
    ELSEWHERE = "elsewhere"  # another issuer has it
    NOT_DUE = "not due"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended; *retry_at* (epoch seconds) for a failed one."""

    name: str
    ending: Ending
    detail: str = ""
    retry_at: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """The attempt goes on, not before *at* (epoch seconds)."""

    name: str
    at: float


class Attempt:
    """Call :meth:`proceed` until it returns an Ended; between calls it occupies no worker."""

    def __init__(self, row: Enrolment, reason: str, tools: Tools, *, stopping: Callable[[], bool]):
        self.name = row.name
        self._row = row
        self._reason = reason
        self._tools = tools
        self._stopping = stopping
        self._work: Work | None = None
        self._blinks = 0

    def proceed(self) -> Ended | Waiting:
        """Go as far as possible now. Never raises CertfleetError."""
        try:
            if self._work is None:
                early = self._begin()
                if early is not None:
                    return early
            return self._advance()
        except LeaseLost:
            return Ended(self.name, Ending.ELSEWHERE)
        except CertfleetError as error:
            return self._trouble(error)
        except Exception as fault:
            log.exception("attempt.fault", certificate=self.name)
            return self._failed(CertfleetError("a fault in certfleet itself", why=f"{type(fault).__name__}: {fault}"))

    @property
    def waits_for(self) -> str:
        """What the attempt needs next, for people."""
        if self._work is None:
            return "the next attempt"
        return _WAITS_FOR.get(self._work.record.state, "the next step")

    def stop(self) -> Ended:
        """Give the lease back; the order goes on at the next run."""
        if self._work is not None:
            try:
                self._tools.orders.release(self._work.record)
            except StoreError as error:
                log.warning("lease.left", certificate=self.name, error=str(error))
        return Ended(self.name, Ending.STOPPED)

    def _begin(self) -> Ended | None:
        """Take the order under way, or open a new one and look again whether it is still wanted."""
        now = int(self._tools.clock())
        try:
            csr = read_csr(self._row.csr)
        except CsrRefused as error:
            hint = "make a new CSR on the host, `remove` and `populate` again"
            raise RefusedError(f"the stored CSR of {self.name} is not usable", why=str(error), hint=hint) from error
        record = self._tools.orders.claim(self.name, now)
        if record is not None:
            self._work = Work(record, self._row, csr, resumed=True)
            return None
        record = self._tools.orders.open(self.name, self._tools.ca.directory, self._reason, now)
        if record is None:
            return Ended(self.name, Ending.ELSEWHERE)
        row = self._tools.certificates.get([self.name])[0]
        decision = plan(row, now, self._tools.settings.renewal)
        if not isinstance(decision, Due):  # another issuer finished between our look and our lease
            self._tools.orders.drop(record)
            return Ended(self.name, Ending.NOT_DUE, decision.reason)
        self._row = row
        self._work = Work(record, row, csr)
        return None

    def _advance(self) -> Ended | Waiting:
        assert self._work is not None  # noqa: S101 - _begin made it
        while not self._work.record.ended:
            if self._stopping():
                return self.stop()
            again_at = advance(self._work, self._tools)
            self._blinks = 0
            if again_at is not None:
                return Waiting(self.name, again_at)
        withdraw(self._work.record, self._tools)
        return Ended(self.name, Ending.STORED, self._work.stored)

    def _trouble(self, error: CertfleetError) -> Ended | Waiting:
        if interrupts(error):
            self._blinks += 1
            if self._work is not None:  # what was heard before may no longer hold
                self._work.ca_order, self._work.resumed, self._work.answered = None, True, False
            if self._blinks <= _QUICK_TRIES and not self._stopping() and _worth_a_moment(error):
                log.info("attempt.blink", certificate=self.name, error=str(error))
                return Waiting(self.name, self._tools.clock() + 0.25 * 2**self._blinks)
        return self._failed(error)

    def _failed(self, error: CertfleetError) -> Ended:
        """Count it and save reason and next moment; end the order unless it can go on."""
        now = int(self._tools.clock())
        failures = self._row.failures + 1
        retry_at = max(retry_moment(failures, now, self._tools.settings.renewal.retry), _not_before(error))
        reason = f"{error}" + (f" ({error.hint})" if error.hint else "")
        try:
            self._tools.certificates.record_failure(self.name, reason, retry_at, now)
            if self._work is not None and not self._work.record.ended:
                self._end_order(error, reason, now)
        except CertfleetError as second:  # the database itself is the trouble: memory keeps the retry of this run
            log.error("failure.unrecorded", certificate=self.name, error=str(second))
        return Ended(self.name, Ending.FAILED, reason, retry_at)

    def _end_order(self, error: CertfleetError, reason: str, now: int) -> None:
        assert self._work is not None  # noqa: S101
        record = self._work.record
        if interrupts(error) and record.state is not OrderState.PLANNED:
            self._tools.orders.release(record)
            return
        record = self._tools.orders.fail(record, reason, now)
        withdraw(record, self._tools)


def interrupts(error: CertfleetError) -> bool:
    """Does the order live on? True when nobody said no: no answer, a server's own trouble, a limit, our database."""
    return error.retry is Retry.SOON or (isinstance(error, AcmeProblem) and error.status == TOO_MANY_REQUESTS)


def _worth_a_moment(error: CertfleetError) -> bool:
    """Our database waits and repeats by itself, and a CA that names a moment means it."""
    return error.retry is Retry.SOON and not isinstance(error, StoreError) and _not_before(error) == 0


def _not_before(error: CertfleetError) -> int:
    return int(error.retry_after or 0) if isinstance(error, AcmeProblem) else 0


def ending_line(ended: Ended) -> str:
    """The one line that a person sees about an attempt."""
    if ended.ending is Ending.FAILED:
        return f"{ended.name}: failed: {ended.detail}; next attempt at {utc_text(ended.retry_at)}"
    return f"{ended.name}: {ended.ending.value}" + (f" ({ended.detail})" if ended.detail else "")
