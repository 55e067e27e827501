"""An attempt that changes nothing: the beginning of the journey, over stores that remember in place of saving.

Nothing is written to the database, asked of the CA for good, or published. Name servers and the CA's renewal
information are asked as in earnest, because they decide.
"""

import dataclasses
import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from common.certificate import Bundle
from common.errors import CertfleetError
from issuer.journey.approval import believed
from issuer.journey.begin import begin, not_due, stored_csr
from issuer.journey.pacing import OrderCounts
from issuer.journey.ports import Tools
from issuer.journey.rows import CertificateRows
from issuer.journey.sealed import require_seal
from issuer.model.enrolment import Enrolment
from issuer.model.failure import Failure
from issuer.model.limits import Limit
from issuer.model.orders import BY_WINDOW, Cause, OrderRecord, OrderState
from issuer.model.outcomes import Ended, Ending
from issuer.rules.change import asked_for, turn
from issuer.rules.due import Due, NotDue, decide
from issuer.rules.forecast import forecast


class Verdict(Enum):
    ORDERED = "would be ordered"
    GOES_ON = "would go on with its order"
    HELD = "would be held"
    FAILED = "would fail"
    ISSUED = "issued for test"  # by the CA's staging directory
    STOPPED = "stopped"
    OFFERED = "would be offered to hosts, as it waits for approval no longer"
    NOT_DUE = "not due"
    ELSEWHERE = "in the hands of another issuer"


_OF_ENDING = {Ending.HELD: Verdict.HELD, Ending.ELSEWHERE: Verdict.ELSEWHERE}


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """The outcome that an attempt for one certificate would have. *why* it is ordered, or not due; *until* when it
    waits (epoch seconds, 0 for none); *directory* of the CA, *way* of validation and *places* of the answers, where it
    would be ordered."""

    name: str
    verdict: Verdict
    why: str = ""
    until: int = 0
    failure: Failure | None = None
    directory: str = ""
    way: str = ""
    places: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        return self.verdict not in (Verdict.HELD, Verdict.FAILED, Verdict.STOPPED)


def rehearse(row: Enrolment, tools: Tools) -> Rehearsed:
    """The outcome that an attempt for *row* would have. *tools* hold the stores of this module. Never raises
    CertfleetError."""
    try:
        now, policy = int(tools.clock()), tools.settings.renewal
        seen = believed(turn(row, now, policy), tools.seals)
        decision = decide(seen, now, policy, resumes=tools.orders.claim(row.name, now) is not None)
        if seen.enabled or not isinstance(decision, NotDue):
            require_seal(seen, tools.seals)
        if isinstance(decision, Due) and decision.cause is Cause.APPROVAL:
            return Rehearsed(row.name, Verdict.OFFERED)
        # an imported one that is only looked at has no CSR
        begun = not_due(decision) if isinstance(decision, NotDue) else begin(seen, stored_csr(seen), tools)
        if isinstance(begun, Ended):
            verdict = _OF_ENDING.get(begun.ending, Verdict.NOT_DUE)
            return Rehearsed(row.name, verdict, begun.detail, begun.retry_at, begun.failure)
        record, solvers = begun.record, [(tools.solver(begun.row, name), name) for name in stored_csr(seen).names]
        found = [solver.place(name, begun.row) for solver, name in solvers]
        places = tuple(dict.fromkeys(zone or owner for owner, zone in found))  # a standing answer has no zone
        way = " and ".join(dict.fromkeys(solver.type.name for solver, _ in solvers))
        verdict, why = Verdict.GOES_ON, f"it is {record.state.value}"
        if not begun.resumed:
            verdict = Verdict.ORDERED
            why = forecast(begun.row, now, policy, under_way=True).why
        return Rehearsed(row.name, verdict, why, directory=record.directory, way=way, places=places)
    except CertfleetError as error:
        return Rehearsed(row.name, Verdict.FAILED, failure=Failure.of(error))


class RehearsedCertificates:
    """CertificateRows that keep their changes to themselves. A rehearsal ends where an order is opened, before there is
    an outcome to store."""

    def __init__(self, real: CertificateRows):
        self._real = real
        self._changed: dict[str, Enrolment] = {}

    def get(self, names: Sequence[str]) -> list[Enrolment]:
        return self._as_changed(self._real.get(names))

    def enrolled(self, names: Sequence[str]) -> list[Enrolment]:
        return self._as_changed(self._real.enrolled(names))

    def last_from(self, issuer: str) -> Bundle | None:
        return self._real.last_from(issuer)

    def due(self, now: int) -> list[Enrolment]:
        return self._as_changed(self._real.due(now))

    def request_reissue(self, names: Sequence[str], reason: str) -> None:
        for row in self.enrolled(names):
            self._changed[row.name] = asked_for(row, reason)

    def retry_now(self, names: Sequence[str]) -> None:
        """Like that of the real store: those that failed are due."""
        for row in self.enrolled(names):
            self._changed[row.name] = asked_for(row, row.reissue_reason)

    def postpone(self, name: str, due_at: int, *, change: bool = False) -> None:
        """Does nothing: a rehearsal does not look at *name* again after this."""

    def plan_look(self, row: Enrolment, due_at: int, *, over: bool = False) -> None:
        """Does nothing, as :meth:`postpone`."""

    def save_renewal_info(self, row: Enrolment, explanation_url: str) -> None:
        self._changed[row.name] = row

    def _as_changed(self, rows: Iterable[Enrolment]) -> list[Enrolment]:
        return [self._changed.get(row.name, row) for row in rows]


class RehearsedOrders:
    """An OrderStore that begins with the orders *left* under way without a lease. Another process works on those of the
    certificates *elsewhere*."""

    def __init__(self, left: Iterable[OrderRecord], elsewhere: Collection[str]):
        self._left = {record.name: record for record in left}
        self._elsewhere = elsewhere
        self._numbers = itertools.count(-1, -1)  # of no order in the database
        self.opened: dict[int, tuple[OrderRecord, tuple[str, ...]]] = {}

    def open(self, planned: OrderRecord, names: Sequence[str]) -> OrderRecord | None:
        if planned.name in self._elsewhere:
            return None
        record = dataclasses.replace(planned, id=next(self._numbers))
        self.opened[record.id] = record, tuple(names)
        return record

    def take_from_hand(self, names: Collection[str]) -> None:
        """Like that of the real store: a person's wish comes before the steps by hand."""
        for name in self._left.keys() & names:
            if self._left[name].cause is Cause.BY_HAND:
                self._left[name] = dataclasses.replace(self._left[name], cause=Cause.WISH)

    def claim(self, name: str, now: int) -> OrderRecord | None:
        return self._left.get(name)

    def under_way(self, now: int) -> list[OrderRecord]:
        return list(self._left.values())

    def withheld(self, now: int) -> list[OrderRecord]:
        return []

    def elsewhere(self, name: str, now: int) -> OrderRecord | None:
        return None

    def save(self, old: OrderRecord, new: OrderRecord, now: int) -> OrderRecord:
        return new

    def fail(self, record: OrderRecord, reason: str, now: int) -> OrderRecord:
        return dataclasses.replace(record, state=OrderState.FAILED)

    def end_left(self, records: Sequence[OrderRecord], reason: str, now: int) -> list[OrderRecord]:
        return []

    def let_go_left(self) -> None:
        pass

    def drop(self, record: OrderRecord) -> None:
        self.opened.pop(record.id, None)

    def release(self, record: OrderRecord) -> None:
        pass


class RehearsedCounts:
    """The *real* OrderCounts, and the orders of a rehearsal on top."""

    def __init__(self, real: OrderCounts, orders: RehearsedOrders):
        self._real = real
        self._orders = orders

    def orders(self, directory: str, limit: Limit, now: int, *, besides: int) -> list[int]:
        ours = [now for record, _ in self._ours(directory, besides) if _counts(record, limit)]
        return [*self._real.orders(directory, limit, now, besides=besides), *ours]

    def certificates(
        self, directory: str, limit: Limit, now: int, *, besides: int, names: Sequence[str], domain: str
    ) -> tuple[list[int], int]:
        found = self._ours(directory, besides)
        if domain:
            counting = [theirs for record, theirs in found if _counts(record, limit)]
            ours = [theirs for theirs in counting if any(f".{name}".endswith(f".{domain}") for name in theirs)]
        else:
            ours = [theirs for _, theirs in found if set(theirs) == set(names)]
        issued, coming = self._real.certificates(directory, limit, now, besides=besides, names=names, domain=domain)
        return issued, coming + len(ours)

    def _ours(self, directory: str, besides: int) -> list[tuple[OrderRecord, tuple[str, ...]]]:
        opened = list(self._orders.opened.values())
        return [pair for pair in opened if pair[0].directory == directory and pair[0].id != besides]


def _counts(record: OrderRecord, limit: Limit) -> bool:
    return limit.in_window or not (record.replaces and record.cause in BY_WINDOW)
