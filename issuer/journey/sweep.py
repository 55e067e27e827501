"""Takes back what dead processes left: challenges that nobody waits for, orders whose row is gone, and
orders that are not ours.

Rows in the database say what that is, and to which servers it leads: whoever can write there must not hold a run up by
many. All of it has one time limit, beyond which each step at work may end; the rest waits for the next time.
"""

from collections import Counter
from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass, field
from itertools import count

import structlog

from common.chunks import chunks
from common.deadline import Deadline
from common.errors import CertfleetError, RefusedError, Retry
from common.threads import each_on_thread
from issuer.journey.begin import stored_csr
from issuer.journey.ports import Tools
from issuer.journey.sealed import NOT_OURS, WITHHELD, tell_not_ours
from issuer.journey.withdraw import abandon, take_back_left
from issuer.model.acme import Challenge
from issuer.model.enrolment import Enrolment
from issuer.model.orders import OrderRecord, OrderState
from issuer.rules.change import of_order

log = structlog.get_logger()
_AT_ONCE = 32  # keepers
_ORDERS_AT_ONCE = 8
_MOST_TOLD = 20  # orders without a row, and answers that stay, one by one
_PORTION = 500  # orders that are ended in one transaction
_NOT_OURS, _OF_NOTHING = "order.planted", "order.of_nothing"
_SILENT = 2.0  # seconds: an error that took longer came from a silent server

Keeper = tuple[str, str]
"""Challenge type, and the server that is asked to withdraw its answers."""


@dataclass(slots=True)
class _Visit:
    """The result of asking one keeper. *busy*: entries that somebody else was withdrawing. *left*: how many there was
    no time for. *told*: counts what was told of answers that stay, of all keepers."""

    told: "count[int]"
    silent: bool = False
    left: int = 0
    busy: list[Challenge] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Swept:
    """*silent*: the keepers to leave out next time. *left*: how many answers and orders there was no time for."""

    silent: set[Keeper]
    left: int


def sweep(tools: Tools, without: Collection[Keeper] = ()) -> Swept:
    """Withdraw the challenges of dead processes: all keepers side by side, each zone by zone. A failure at one does not
    stop the others. The keepers *without* are left out."""
    deadline = Deadline(tools.timing.sweep_seconds)
    left = _end_orders_of_nothing(tools, deadline)
    keepers: dict[Keeper, list[Challenge]] = {}
    for entry in tools.journal.orphans():
        solver = tools.solvers.get(entry.type)
        keepers.setdefault((entry.type, solver.keeper(entry) if solver else ""), []).append(entry)
    asked = [keeper for keeper in keepers if keeper not in without]
    told = count()
    outs = each_on_thread(lambda keeper: _visit(keepers[keeper], tools, deadline, told), asked, _AT_ONCE)
    visits = {keeper: out.result() for keeper, out in zip(asked, outs, strict=True)}
    silent = {keeper for keeper, visit in visits.items() if visit.silent}
    left += sum(visit.left for visit in visits.values())
    for keeper in visits.keys() - silent:
        left += _visit(visits[keeper].busy, tools, deadline, told).left
    if (more := next(told) - _MOST_TOLD) > 0:
        log.warning("challenge.left", more=more)
    if left:
        log.warning("sweep.unfinished", left=left, seconds=deadline.seconds)
    return Swept({*without, *silent}, left)


def _visit(entries: Sequence[Challenge], tools: Tools, deadline: Deadline, told: "count[int]") -> _Visit:
    zones: dict[str, list[Challenge]] = {}
    for entry in entries:
        zones.setdefault(entry.zone, []).append(entry)
    visit = _Visit(told)
    for some in zones.values():
        _sweep(some, tools, visit, deadline)
    return visit


def _sweep(entries: Sequence[Challenge], tools: Tools, visit: _Visit, deadline: Deadline) -> None:
    if deadline.over:
        visit.left += len(entries)
        return
    owners, began = [entry.owner for entry in entries[:_MOST_TOLD]], tools.clock()
    try:
        swept = take_back_left(entries, tools)
        taken = {entry.id for entry in swept}
        visit.busy += [entry for entry in entries if entry.id not in taken]
        if swept:
            log.info("challenge.swept", owners=[entry.owner for entry in swept[:_MOST_TOLD]], all=len(swept))
    except CertfleetError as error:
        if len(entries) > 1 and error.retry is Retry.NEVER:  # one of them may be the cause
            for entry in entries:
                _sweep([entry], tools, visit, deadline)
            return
        visit.silent |= error.retry is Retry.SOON and tools.clock() - began > _SILENT
        if next(visit.told) < _MOST_TOLD:
            log.warning("challenge.left", owners=owners, error=str(error))
    except Exception as fault:  # an unforeseen row stops neither the others nor the run
        if next(visit.told) >= _MOST_TOLD:
            return
        log.error("challenge.fault", owners=owners, error=f"{type(fault).__name__}: {fault}")
        log.info("challenge.fault_traced", owners=owners, exc_info=True)


def _end_orders_of_nothing(tools: Tools, deadline: Deadline) -> int:
    """End orders that nobody can finish, that no issuer wrote or that somebody keeps from issuers, even where nobody
    would try. Returns how many there was no time for."""
    now = int(tools.clock())
    kept = {record.name: record for record in tools.orders.withheld(now)}
    others = {record.name: record for record in tools.orders.under_way(now)}
    rows = {row.name: row for row in tools.certificates.enrolled([*kept, *others])}
    unusable: dict[str, list[OrderRecord]] = {}
    for name, record in (*kept.items(), *others.items()):
        row = rows.get(name)
        if not record.sealed and (row is None or _is_sealed(row, tools)):
            why = NOT_OURS
        elif name in kept:
            why = WITHHELD if record.sealed else ""
        else:
            why = _unusable(record, row, now)
        if why:
            unusable.setdefault(why, []).append(record)
    given_up, told, left = list[OrderRecord](), Counter[str](), 0
    for why, some in ((why, some) for why, records in unusable.items() for some in chunks(records, _PORTION)):
        if deadline.over:
            left += len(some)
            continue
        ended = tools.orders.end_left(some, why, now)
        _tell_ended(ended, why, tools, told, rows)
        given_up += (record for record in ended if record.sealed)  # nobody asks a server that somebody else named
    if (more := told[_OF_NOTHING] - _MOST_TOLD) > 0:
        log.warning("order.of_nothing", more=more)
    if told[_NOT_OURS] > _MOST_TOLD:
        log.error("order.planted", all=told[_NOT_OURS])
    _give_back(given_up, tools, deadline)
    return left


def _tell_ended(ended: Sequence[OrderRecord], why: str, tools: Tools, told: Counter[str], rows: Container[str]) -> None:
    """Tell of *ended* orders, of each kind up to twenty one by one: *told* counts them. Also of each that no issuer
    wrote for one of our *rows*."""
    kind = _NOT_OURS if why in (NOT_OURS, WITHHELD) else _OF_NOTHING
    for record in ended:
        told[kind] += 1
        if kind == _NOT_OURS and (told[kind] <= _MOST_TOLD or record.name in rows):
            tell_not_ours(record, tools)
        elif kind == _OF_NOTHING and told[kind] <= _MOST_TOLD:
            log.warning("order.of_nothing", certificate=record.name, why=why)


def _is_sealed(row: Enrolment, tools: Tools) -> bool:
    """Does our seal key fit *row*? Where another issuer's does, an order for it is that issuer's too."""
    try:
        return not tools.seals.faults(row)
    except CertfleetError:  # told by each attempt
        return False


def _give_back(ended: Sequence[OrderRecord], tools: Tools, deadline: Deadline) -> None:
    """Give back the authorizations of *ended* orders as long as there is time: the CA ends the others by itself."""

    def work(record: OrderRecord) -> None:
        if not deadline.over:
            abandon(record, tools)

    for out in each_on_thread(work, ended, _ORDERS_AT_ONCE):
        out.result()


def _unusable(record: OrderRecord, row: Enrolment | None, now: int) -> str:
    """Why no certificate can come of an order; "" where one can. Programs that know no orders delete and damage rows,
    and a key may be revoked while its order is under way. An order in FINALIZING waits for its row to be mended: the CA
    may have issued."""
    if row is None:
        return "its row was deleted"
    if record.state is OrderState.FINALIZING and now < record.kept_until(hurry=False):
        return ""
    seen = of_order(row, record)
    if seen is None:
        return "another CSR is enrolled now"
    try:
        stored_csr(seen)
    except RefusedError as error:
        return str(error)
    return ""
