"""What dead processes left: challenges that nobody waits for, and orders of rows that are gone."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import structlog

from common.errors import CertfleetError, RefusedError, Retry
from issuer.ground.threads import each_on_thread
from issuer.journey.begin import stored_csr
from issuer.journey.ports import Tools
from issuer.journey.withdraw import abandon, take_back_left
from issuer.model.acme import Challenge
from issuer.model.enrolment import Enrolment
from issuer.model.orders import OrderRecord, OrderState

log = structlog.get_logger()
_AT_ONCE = 32  # servers
_SILENT = 2.0  # seconds that a server may take to say no; who is down says so at once

Server = tuple[str, str]
"""Challenge type, and who is asked to take its answers back."""


@dataclass(slots=True)
class _Visit:
    """What came of asking one server. *busy*: entries of an order whose others were just being taken back elsewhere."""

    silent: bool = False
    busy: list[Challenge] = field(default_factory=list)


def sweep(tools: Tools, without: Collection[Server] = ()) -> set[Server]:
    """Take back what dead processes left, from all servers side by side, from each zone by zone. What cannot be taken
    back does not keep the others. Returns whom to leave out the next time: *without*, and who was silent."""
    _end_orders_of_nothing(tools)
    servers: dict[Server, list[Challenge]] = {}
    for entry in tools.journal.orphans():
        solver = tools.solvers.get(entry.type)
        servers.setdefault((entry.type, solver.keeper(entry) if solver else ""), []).append(entry)
    asked = [server for server in servers if server not in without]
    outs = each_on_thread(lambda server: _visit(servers[server], tools), asked, _AT_ONCE)
    visits = {server: out.result() for server, out in zip(asked, outs, strict=True)}
    silent = {server for server, visit in visits.items() if visit.silent}
    for server in visits.keys() - silent:
        _visit(visits[server].busy, tools)
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
        if len(entries) > 1 and error.retry is Retry.NEVER:  # it may be the fault of one of them
            for entry in entries:
                _sweep([entry], tools, visit)
            return
        visit.silent |= error.retry is Retry.SOON and tools.clock() - began > _SILENT
        log.warning("challenge.left", owners=owners, error=str(error))
    except Exception as fault:  # a row that nobody thought of stops neither the others nor the run
        log.error("challenge.fault", owners=owners, error=f"{type(fault).__name__}: {fault}")
        log.info("challenge.fault_traced", owners=owners, exc_info=True)


def _end_orders_of_nothing(tools: Tools) -> None:
    """Orders that nobody can finish any more, also where nobody would try."""
    now = int(tools.clock())
    left = {record.name: record for record in tools.orders.under_way(now)}
    rows = {row.name: row for row in tools.certificates.enrolled(list(left))}
    for name, record in left.items():
        why = _unusable(record, rows.get(name), now)
        if why and tools.orders.end_left(record, why, now):
            log.warning("order.of_nothing", certificate=name, why=why)
            abandon(record, tools)


def _unusable(record: OrderRecord, row: Enrolment | None, now: int) -> str:
    """Why no certificate can come of an order; "" where one can. Rows are deleted and damaged by what knows no orders,
    and a key is revoked while its order is out. What the CA may have issued already waits for a row that is mended."""
    if row is None:
        return "its row was deleted"
    if record.state is OrderState.FINALIZING and now < record.kept_until(hurry=False):
        return ""
    try:
        stored_csr(row)
    except RefusedError as error:
        return str(error)
    return ""
