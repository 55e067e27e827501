"""From a row that may be due to an order of ours: is it due, which CA, do its limits allow it?

Two tables of steps: an order that is under way is taken over and gone on with; else one is opened. A step returns None
to go on, or how the attempt ends. What can be known without the CA is found out first. An order that is in our hands
when the attempt ends here is let go again.
"""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from common.clock import utc_text
from common.errors import RefusedError
from issuer.journey.choose import choose, consult, identifier
from issuer.journey.issue import Work, find_places
from issuer.journey.ports import Tools
from issuer.model.csr import CsrFacts
from issuer.model.enrolment import Enrolment
from issuer.model.errors import CompromisedKey, Overtaken
from issuer.model.events import incident
from issuer.model.failure import Failure
from issuer.model.limits import PACED
from issuer.model.orders import BY_WINDOW, Cause, OrderRecord, OrderState
from issuer.model.outcomes import Ended, Ending
from issuer.rules.csr import CsrRefused, accepted
from issuer.rules.due import Consult, Due, NotDue, decide
from issuer.rules.renewal import renews

log = structlog.get_logger()


@dataclass(slots=True)
class Preparation:
    """What the steps have found out so far. *record*: the order, once it is under our lease."""

    row: Enrolment
    csr: CsrFacts
    now: int
    by_hand: bool
    record: OrderRecord | None
    directory: str = ""  # of the CA
    cause: Cause = Cause.RENEWAL
    replaces: str = ""  # identifier of the certificate that it renews, RFC 9773
    planned: Enrolment | None = None  # the row that was found to be due

    @property
    def leased(self) -> OrderRecord:
        """The order. RuntimeError before there is one."""
        if self.record is None:
            raise RuntimeError(f"there is no order for {self.row.name} yet")
        return self.record


Step = Callable[[Preparation, Tools], Ended | None]


def begin(row: Enrolment, csr: CsrFacts, tools: Tools, *, by_hand: bool = False) -> Work | Ended:
    """The order under way for *row*, or a new one if it is wanted and allowed. Raises CertfleetError.

    *by_hand*: the caller acts for a person; else an order in a person's hands is left alone.
    """
    now = int(tools.clock())
    found = tools.orders.claim(row.name, now)
    order = Preparation(row, csr, now, by_hand, found)
    begun = False
    try:
        ended = _through(GOING_ON, order, tools) if found is not None else None
        if ended is None and order.record is None:
            ended = _through(OPENING, order, tools)
        if ended is not None:
            return ended
        begun = True
    finally:
        if not begun and order.record is not None:
            (tools.orders.release if order.record is found else tools.orders.drop)(order.record)
    if order.leased.cause is Cause.INCIDENT:  # also when gone on with: who opened it may have been killed before that
        tools.tell(incident(row.name))
    taken_over = order.record is found
    return Work(order.leased, order.row, csr, resumed=taken_over, asked=taken_over)


def _through(steps: tuple[Step, ...], order: Preparation, tools: Tools) -> Ended | None:
    return next(filter(None, (step(order, tools) for step in steps)), None)


# --- steps ---


def leave_to_person(order: Preparation, tools: Tools) -> Ended | None:
    """An order that a person works on is left alone until its deadline."""
    record = order.leased
    if order.by_hand or not record.is_by_hand(order.now):
        return None
    until = utc_text(record.deadline or 0)
    return Ended(record.name, Ending.NOT_DUE, f"being issued by hand until {until}; `issue` takes it over")


def read_again(order: Preparation, tools: Tools) -> None:
    """The row as it is now, under the lease: from here on `remove` is refused, and `revoke` ends the order. Raises
    Overtaken, CompromisedKey."""
    name = order.row.name
    found = tools.certificates.enrolled([name])
    if not found or found[0].csr != order.row.csr:
        raise Overtaken(name)
    if order.csr.spki_sha256 in found[0].compromised:
        raise CompromisedKey([name])
    order.row = found[0]


def keep_to_hold(order: Preparation, tools: Tools) -> Ended | None:
    """The CA is not asked before the moment that it named."""
    record = order.record
    ca = tools.authorities.get(record.directory if record is not None else order.directory)
    if ca is None:  # not configured any more
        return None
    known_there = record is not None and record.state is not OrderState.PLANNED
    held = tools.holds.until(ca.account_id, order.row.name, order.now, goes_on=known_there)
    return _held(order, *held, tools) if held is not None else None


def give_way(order: Preparation, tools: Tools) -> None:
    """An order that its CA does not know of yet ends where it is another CA's turn."""
    record = order.leased
    if (
        record.state is OrderState.PLANNED
        and choose(order.row, order.csr, order.now, tools).directory != record.directory
    ):
        tools.orders.fail(record, "another CA is asked now", order.now)
        order.record = None


def look_whether_due(order: Preparation, tools: Tools) -> Ended | None:
    """Our own rule decides, and the CA's renewal information where it has some."""
    row, policy = order.row, tools.settings.renewal
    decision = decide(row, order.now, policy)
    if isinstance(decision, Consult):
        row = order.row = consult(row, order.now, tools)
        decision = decide(row, order.now, policy, consulted=True)
    if isinstance(decision, Due):
        order.planned, order.cause = row, decision.cause
        return None
    assert isinstance(decision, NotDue)  # noqa: S101 - consulted
    postpone(row, decision, tools)
    until = f", until {utc_text(decision.until)}" if decision.until else ""
    return Ended(row.name, Ending.NOT_DUE, decision.reason + until, decision.until or 0)


def choose_authority(order: Preparation, tools: Tools) -> None:
    """The CA is told which certificate is replaced, if it issued that one (RFC 9773 §5)."""
    row, ca = order.row, choose(order.row, order.csr, order.now, tools)
    order.directory = ca.directory
    if row.directory == ca.directory and row.ari_ask_at is not None:
        order.replaces = identifier(row)


def look_where_to_publish(order: Preparation, tools: Tools) -> None:
    """A name server that is down is found before it costs an order."""
    find_places(order.row, order.csr, tools)


def open_within_limits(order: Preparation, tools: Tools) -> Ended | None:
    """The order's row takes a place in the CA's limits; it is dropped again where there is none."""
    row, names, now = order.row, order.csr.names, order.now
    exempt = order.replaces != "" and order.cause in BY_WINDOW
    pacing = tools.pacing[order.directory]
    with pacing.turn:
        opened = tools.orders.open(row.name, order.directory, order.cause, now, order.replaces, names=names)
        if opened is None:
            return Ended(row.name, Ending.ELSEWHERE)
        order.record = opened
        renewal = renews(row, names, order.directory)
        free_at = now if exempt else pacing.free_at(names, now, renewal=renewal, besides=opened.id)
        if free_at <= now:
            return None
        tools.orders.drop(opened)
        order.record = None
    return _held(order, free_at, PACED, tools)


def still_due(order: Preparation, tools: Tools) -> Ended | None:
    """Another issuer may have finished between our look and our lease."""
    row = order.row
    if order.by_hand or row == order.planned:
        return None
    if isinstance(decide(row, order.now, tools.settings.renewal, consulted=True), Due):
        return None
    return Ended(row.name, Ending.NOT_DUE, "done by another issuer")


GOING_ON: tuple[Step, ...] = (leave_to_person, read_again, keep_to_hold, give_way)
OPENING: tuple[Step, ...] = (
    look_whether_due,
    choose_authority,
    keep_to_hold,
    look_where_to_publish,
    open_within_limits,
    read_again,
    still_due,
)


# --- what the loops ask before they begin ---


def left_alone(row: Enrolment, tools: Tools, *, resumes: bool) -> NotDue | None:
    """The decision not to try *row* now, with its next moment saved; None if it is to be tried: it is due, or its order
    is out (*resumes*). A fault of ours in planning stops no other row: the attempt meets it again and records it."""
    try:
        decision = decide(row, int(tools.clock()), tools.settings.renewal, resumes=resumes)
    except Exception:
        log.info("plan.fault", certificate=row.name, exc_info=True)
        return None
    if not isinstance(decision, NotDue):
        return None
    postpone(row, decision, tools)
    return decision


def postpone(row: Enrolment, decision: NotDue, tools: Tools) -> None:
    """Save the moment of the next look at *row*, and tell people the news of this one."""
    if decision.until is None or decision.until == row.due_at:
        return
    if decision.news is not None:
        tools.tell(decision.news)
    tools.certificates.postpone(row.name, decision.until)


def stored_csr(row: Enrolment) -> CsrFacts:
    """The facts of the CSR in the row. Raises RefusedError, CompromisedKey."""
    try:
        facts = accepted(row.request)
    except CsrRefused as error:
        hint = "make a new CSR on the host, `remove` and `populate` again"
        raise RefusedError(f"the stored CSR of {row.name} is not usable", why=str(error), hint=hint) from error
    if facts.spki_sha256 in row.compromised:
        raise CompromisedKey([row.name])
    return facts


# --- what the steps use ---


def _held(order: Preparation, until: int, failure: Failure, tools: Tools) -> Ended:
    """Save the moment. An order that is out goes on then, also where the certificate is disabled."""
    tools.certificates.postpone(order.row.name, until)
    goes_on = order.row.enabled or order.record is not None
    return Ended.held(order.row.name, until, failure, by_itself=goes_on)
