"""Takes back: answers leave the world, and authorizations that nobody needs go back to the CA."""

import contextlib
from collections.abc import Sequence

import structlog

from common.deadline import Deadline
from common.errors import CertfleetError, RefusedError
from issuer.journey.ports import Tools
from issuer.journey.solver import ChallengeType, shares
from issuer.journey.work import Work, authority, journalled
from issuer.model.acme import Challenge
from issuer.model.errors import BeingTakenBack
from issuer.model.orders import OrderRecord, OrderState

log = structlog.get_logger()
_GIVEN_BACK_IN = 20.0  # seconds, for the authorizations of one order


def withdraw(work: Work, tools: Tools) -> None:
    """Withdraw every answer of an order, however it ended. Never raises: an answer that cannot be withdrawn now stays
    in the journal for the next run."""
    try:
        entries = journalled(work, tools)
        if work.record.state is OrderState.FAILED:  # a new order may share its answers
            take_back_left(entries, tools)
        else:
            _take_back(entries, tools)
    except CertfleetError as error:
        log.warning("challenge.left", certificate=work.record.name, error=str(error))


def journal_again(work: Work, tools: Tools) -> None:
    """Journal once more what we may have published after we had lost the order. The issuer that took it over may have
    withdrawn the same before; then the sweep takes ours back. Raises StoreError."""
    if work.journalled:
        with contextlib.suppress(BeingTakenBack):  # somebody withdraws it at this moment
            work.journalled = tools.journal.add(work.record.id, work.journalled, int(tools.clock()))


def abandon(record: OrderRecord, tools: Tools) -> None:
    """Give back the pending authorizations of a dead order, because CAs limit their number. Never raises. Within a time
    limit: the address of an order stands in the database, and may lead to a server that is slow on purpose."""
    try:
        ca, deadline = authority(record, tools), Deadline(_GIVEN_BACK_IN)
        for url in ca.order(record.url).authorizations if record.url else ():
            if not deadline.over and ca.authorization(url).status == "pending":
                ca.deactivate(url)
    except CertfleetError as error:
        log.info("authorization.left", certificate=record.name, error=str(error))


def take_back_left(entries: Sequence[Challenge], tools: Tools) -> list[Challenge]:
    """Withdraw *entries* of ended orders. Left alone are answers that another order publishes, and those that somebody
    else withdraws. Returns the withdrawn ones. Raises CertfleetError."""
    with tools.journal.leased(entries, int(tools.clock())) as ours:
        _take_back(ours, tools)
    return ours


def _take_back(entries: Sequence[Challenge], tools: Tools) -> None:
    """Out of the world, then out of the journal. Raises CertfleetError; RefusedError for an entry that is no answer of
    ours."""
    for solver, mine in shares(entries, tools.solvers):
        ours = [entry for entry in mine if entry.ours]
        for entry in ours:
            _require_answer(entry, solver.type, tools)
        solver.withdraw(ours)
        tools.journal.forget(mine)


def _require_answer(entry: Challenge, kind: ChallengeType, tools: Tools) -> None:
    """Raise RefusedError unless an account of ours may have made the value of *entry*. The journal is in the database:
    whoever writes there must not choose which records and files we delete."""
    if not any(kind.is_answer(entry.value, ca.key_authorization) for ca in tools.authorities.values()):
        hint = f"if nobody needs it, delete it by hand, and row {entry.id} of the table challenges"
        why = "its value is not one that our account makes"
        raise RefusedError(f"the journal names an answer at {entry.owner} that is not ours", why=why, hint=hint)
