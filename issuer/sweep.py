"""What dead processes left: challenges that nobody waits for, and orders of rows that are gone."""

from collections.abc import Sequence

import structlog

from common.errors import CertfleetError, Retry
from issuer.issue import take_back_left
from issuer.model import Challenge
from issuer.ports import Tools

log = structlog.get_logger()


def sweep(tools: Tools) -> None:
    """Take back what dead processes left, zone by zone. What cannot be taken back does not keep the others."""
    _end_orders_of_nothing(tools)
    zones: dict[tuple[str, str], list[Challenge]] = {}
    for entry in tools.journal.orphans():
        zones.setdefault((entry.type, entry.zone), []).append(entry)
    for entries in zones.values():
        _sweep(entries, tools)


def _sweep(entries: Sequence[Challenge], tools: Tools) -> None:
    owners = [entry.owner for entry in entries]
    try:
        swept = take_back_left(entries, tools)
        log.info("challenge.swept", owners=[entry.owner for entry in swept])
    except CertfleetError as error:
        if len(entries) > 1 and error.retry is Retry.NEVER:  # it may be the fault of one of them
            for entry in entries:
                _sweep([entry], tools)
            return
        log.warning("challenge.left", owners=owners, error=str(error))
    except Exception as fault:  # a row that nobody thought of stops neither the others nor the run
        log.error("challenge.fault", owners=owners, error=f"{type(fault).__name__}: {fault}")
        log.info("challenge.fault_traced", owners=owners, exc_info=True)


def _end_orders_of_nothing(tools: Tools) -> None:
    """Orders whose row was deleted by something that knows no orders: nobody wants them any more."""
    now = int(tools.clock())
    left = [record.name for record in tools.orders.under_way(now)]
    for name in set(left).difference(row.name for row in tools.certificates.enrolled(left)):
        record = tools.orders.claim(name, now)
        if record is not None:
            tools.orders.fail(record, "its row was deleted", now)
            log.warning("order.of_nothing", certificate=name)
