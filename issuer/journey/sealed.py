"""Requires that a row is what an operator enrolled, before anything is ordered by it, and that an order is ours before
it is gone on with."""

import structlog

from common.certificate import Bundle
from common.clock import utc_text
from common.errors import CertfleetError
from issuer.journey.ports import Seals, Tools
from issuer.model.enrolment import Enrolment
from issuer.model.errors import NotSealed, Overtaken
from issuer.model.events import planted, withheld
from issuer.model.orders import OrderRecord
from issuer.rules.change import newest, turn

log = structlog.get_logger()
NOT_OURS, WITHHELD = "no issuer wrote it", "somebody kept its lease"


def require_seal(row: Enrolment, seals: Seals) -> None:
    """Raise NotSealed unless *row* is what an operator enrolled: a thief in the database chooses no key and no name."""
    faults = seals.faults(row)
    if faults:
        raise NotSealed(row.name, faults)


def remember_stored(name: str, bundle: Bundle, now: int, seals: Seals, *, taken: Enrolment | None = None) -> None:
    """Remember that *bundle* was stored as the certificate of *name*, and that the change of the row *taken* is over.
    Where that fails, the next look at the row remembers it."""
    try:
        seals.stored(name, bundle, now)
        if taken is not None:
            seals.taken(taken)
    except CertfleetError as error:
        log.warning("seal.not_remembered", certificate=name, error=str(error))


def remember_ordered(name: str, now: float, seals: Seals) -> None:
    """Remember that a CA has opened an order for *name*."""
    try:
        seals.ordered(name, now)
    except CertfleetError as error:
        log.warning("order.not_remembered", certificate=name, error=str(error))


def is_sealed(row: Enrolment, tools: Tools) -> bool:
    """Is *row*, by the CSR whose turn it is, what an operator enrolled? True also where the key of seals
    cannot be used: `require_seal` raises that later."""
    try:
        return not tools.seals.faults(turn(row, int(tools.clock()), tools.settings.renewal))
    except CertfleetError:
        return True


def require_seal_now(row: Enrolment, tools: Tools) -> None:
    """As `require_seal`, for a *row* that was read some time ago: raises Overtaken where it was sealed anew since."""
    try:
        require_seal(row, tools.seals)
    except NotSealed:
        there = [seen.seal for found in tools.certificates.enrolled([row.name]) for seen in (found, newest(found))]
        if row.seal not in there:
            raise Overtaken(row.name) from None
        raise


def only_ours(record: OrderRecord | None, tools: Tools) -> OrderRecord | None:
    """The order *record*, whose lease is ours, if an issuer wrote its row as it is. Any other is ended and told; nobody
    asks the server that it names. So who writes the database chooses no server, and brings no ended order back."""
    if record is None or record.sealed:
        return record
    tools.orders.fail(record, NOT_OURS, int(tools.clock()))
    tell_not_ours(record, tools)
    return None


def tell_not_ours(record: OrderRecord, tools: Tools) -> None:
    """Tell that the order *record* was ended, because no issuer wrote it so, or because somebody kept its lease."""
    if record.sealed:
        log.error("order.withheld", certificate=record.name, order=record.id, opened=record.created_at)
        tools.tell(withheld(record.name, utc_text(record.created_at)))
    else:
        log.error("order.planted", certificate=record.name, order=record.id)
        tools.tell(planted(record.name))
