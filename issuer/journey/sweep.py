"""Takes back what dead processes left: challenges that nobody waits for, orders whose row is gone, and orders that are
not ours."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import structlog

from common.errors import CertfleetError, RefusedError, Retry
from issuer.ground.threads import each_on_thread
from issuer.journey.begin import stored_csr
from issuer.journey.ports import Tools
from issuer.journey.sealed import NOT_OURS, tell_planted
from issuer.journey.withdraw import abandon, take_back_left
from issuer.model.acme import Challenge
from issuer.model.enrolment import Enrolment
from issuer.model.orders import OrderRecord, OrderState
from issuer.rules.change import of_order

log = structlog.get_logger()
_AT_ONCE = 32  # keepers
_SILENT = 2.0  # seconds: an error that took longer came from a silent server

Keeper = tuple[str, str]
"""Challenge type, and the server that is asked to withdraw its answers."""


@dataclass(slots=True)
class _Visit:
    """The result of asking one keeper. *busy*: entries that somebody else was withdrawing."""

    silent: bool = False
    busy: list[Challenge] = field(default_factory=list)


def sweep(tools: Tools, without: Collection[Keeper] = ()) -> set[Keeper]:
    """Withdraw the challenges of dead processes: all keepers side by side, each zone by zone. A failure at one does not
    stop the others. Returns the keepers to leave out next time: *without*, and those that were silent."""
    _end_orders_of_nothing(tools)
    keepers: dict[Keeper, list[Challenge]] = {}
    for entry in tools.journal.orphans():
        solver = tools.solvers.get(entry.type)
        keepers.setdefault((entry.type, solver.keeper(entry) if solver else ""), []).append(entry)
    asked = [keeper for keeper in keepers if keeper not in without]
    outs = each_on_thread(lambda keeper: _visit(keepers[keeper], tools), asked, _AT_ONCE)
    visits = {keeper: out.result() for keeper, out in zip(asked, outs, strict=True)}
    silent = {keeper for keeper, visit in visits.items() if visit.silent}
    for keeper in visits.keys() - silent:
        _visit(visits[keeper].busy, tools)
    return {*without, *silent}


def _visit(entries: Sequence[Challenge], tools: Tools) -> _Visit:
    zones: dict[str, list[Challenge]] = {}
    for entry in entries:
        zones.setdefault(entry.zone, []).append(entry)
    visit = _Visit()
    for some in zones.values():
        _sweep(some, tools, visit)
    return visit


def _sweep(entries: Sequence[Challenge], tools: Tools, visit: _Visit) -> None:
    owners, began = [entry.owner for entry in entries], tools.clock()
    try:
        swept = take_back_left(entries, tools)
        taken = {entry.id for entry in swept}
        visit.busy += [entry for entry in entries if entry.id not in taken]
        if swept:
            log.info("challenge.swept", owners=[entry.owner for entry in swept])
    except CertfleetError as error:
        if len(entries) > 1 and error.retry is Retry.NEVER:  # one of them may be the cause
            for entry in entries:
                _sweep([entry], tools, visit)
            return
        visit.silent |= error.retry is Retry.SOON and tools.clock() - began > _SILENT
        log.warning("challenge.left", owners=owners, error=str(error))
    except Exception as fault:  # an unforeseen row stops neither the others nor the run
        log.error("challenge.fault", owners=owners, error=f"{type(fault).__name__}: {fault}")
        log.info("challenge.fault_traced", owners=owners, exc_info=True)


def _end_orders_of_nothing(tools: Tools) -> None:
    """End orders that nobody can finish or that no issuer wrote, even where nobody would try."""
    now = int(tools.clock())
    left = {record.name: record for record in tools.orders.under_way(now)}
    rows = {row.name: row for row in tools.certificates.enrolled(list(left))}
    for name, record in left.items():
        row = rows.get(name)
        if not record.sealed and row is not None and _is_sealed(row, tools):
            if tools.orders.end_left(record, NOT_OURS, now):
                tell_planted(record, tools)
            continue
        why = _unusable(record, row, now)
        if why and tools.orders.end_left(record, why, now):
            log.warning("order.of_nothing", certificate=name, why=why)
            if record.sealed:  # nobody asks a server that somebody else named
                abandon(record, tools)


def _is_sealed(row: Enrolment, tools: Tools) -> bool:
    """Does our seal key fit *row*? Where it is another issuer's, so is the order."""
    try:
        return not tools.seals.faults(row)
    except CertfleetError:  # told by each attempt
        return False


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
