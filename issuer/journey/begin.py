"""Opens the order for a row, or goes on with it: is the row due, which CA, do that CA's limits allow it?

There are two tables of steps: GOING_ON for an order that is under way, OPENING for a new order. A step returns None to
go on, or an Ended. OPENING first asks whether the row is due. An attempt that ends here releases or drops its order.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from shlex import quote

import structlog

from common.clock import utc_text
from common.errors import RefusedError
from issuer.journey.approval import believed, offer
from issuer.journey.choose import choose, consult, identifier
from issuer.journey.from_root import require_served
from issuer.journey.issue import find_places
from issuer.journey.looks import save_next_look
from issuer.journey.ports import Tools
from issuer.journey.sealed import only_ours, require_seal
from issuer.journey.withdraw import abandon
from issuer.journey.work import Work
from issuer.model.csr import CsrFacts
from issuer.model.enrolment import Enrolment, csr_digest
from issuer.model.errors import CompromisedKey, Overtaken
from issuer.model.events import incident
from issuer.model.failure import Failure
from issuer.model.limits import BY_A_LIMIT, BY_OURSELVES, OFTEN, PACED
from issuer.model.orders import BY_WINDOW, Cause, OrderRecord, OrderState, new_order
from issuer.model.outcomes import Ended, Ending, left_elsewhere
from issuer.rules.change import of_csr, of_order
from issuer.rules.csr import CsrRefused, accepted
from issuer.rules.due import Consult, Due, NotDue, decide, look_when_held
from issuer.rules.renewal import is_overdue, renews

log = structlog.get_logger()


@dataclass(slots=True)
class Preparation:
    """The facts that the steps have gathered so far. *record*: the order, once we have its lease."""

    row: Enrolment
    csr: CsrFacts
    now: int
    by_hand: bool
    record: OrderRecord | None
    directory: str = ""  # of the CA
    cause: Cause = Cause.RENEWAL
    replaces: str = ""  # the identifier (RFC 9773 §4.1) of the certificate that the order replaces
    planned: Enrolment | None = None  # the row that was found to be due

    @property
    def leased(self) -> OrderRecord:
        """The order. Raises RuntimeError if there is none yet."""
        if self.record is None:
            raise RuntimeError(f"there is no order for {self.row.name} yet")
        return self.record


Step = Callable[[Preparation, Tools], Ended | None]


def begin(row: Enrolment, csr: CsrFacts, tools: Tools, *, by_hand: bool = False) -> Work | Ended:
    """Go on with the order for *row*, or open one if it is due and allowed. Raises CertfleetError. *by_hand*: the
    caller acts for a person. Any other caller leaves alone an order that a person works on."""
    now = int(tools.clock())
    found = only_ours(tools.orders.claim(row.name, now), tools)
    prepared = Preparation(row, csr, now, by_hand, found)
    begun = False
    try:
        ended = _through(GOING_ON, prepared, tools) if found is not None else None
        if ended is None and prepared.record is None:
            ended = _through(OPENING, prepared, tools)
        if ended is not None:
            return ended
        begun = True
    finally:
        if not begun and prepared.record is not None:
            (tools.orders.release if prepared.record is found else tools.orders.drop)(prepared.record)
    if prepared.leased.cause is Cause.INCIDENT:  # also for an order taken over: its first process may not have told
        tools.tell(incident(row.name))
    taken_over = prepared.record is found
    return Work(prepared.leased, prepared.row, csr, resumed=taken_over, asked=taken_over)


def _through(steps: tuple[Step, ...], prepared: Preparation, tools: Tools) -> Ended | None:
    return next(filter(None, (step(prepared, tools) for step in steps)), None)


# --- steps ---


def leave_to_person(prepared: Preparation, tools: Tools) -> Ended | None:
    """Leave alone an order that a person works on, until its deadline."""
    record = prepared.leased
    if prepared.by_hand or not record.is_by_hand(prepared.now):
        return None
    until = utc_text(record.deadline or 0)
    return Ended(record.name, Ending.NOT_DUE, f"being issued by hand until {until}; `issue` takes it over")


def read_again(prepared: Preparation, tools: Tools) -> None:
    """Read the row again under the lease. From here on `remove` refuses the row, and `revoke` ends the order.
    Raises Overtaken, CompromisedKey, NotSealed."""
    name = prepared.row.name
    found = tools.certificates.enrolled([name])
    row = of_csr(found[0], prepared.row.csr) if found else None
    if row is None:
        raise Overtaken(name)
    if prepared.csr.spki_sha256 in row.compromised:
        raise CompromisedKey([name])
    require_seal(row, tools.seals)
    prepared.row = believed(row, tools.seals)


def leave_to_other_csr(prepared: Preparation, tools: Tools) -> Ended | None:
    """Leave alone an order for the other CSR of the row, which was opened after the row was read."""
    seen = of_order(prepared.row, prepared.leased)
    other = seen is not None and seen.csr != prepared.row.csr
    return Ended(prepared.row.name, Ending.NOT_DUE, "its other CSR is being ordered") if other else None


def keep_to_hold(prepared: Preparation, tools: Tools) -> Ended | None:
    """Do not ask the CA before the moment that it named."""
    record = prepared.record
    ca = tools.authorities.get(record.directory if record is not None else prepared.directory)
    if ca is None:  # not configured any more
        return None
    known_there = record is not None and record.state is not OrderState.PLANNED
    held = tools.holds.until(ca.account_id, prepared.row.scope, prepared.now, goes_on=known_there)
    return _held(prepared, *held, tools) if held is not None else None


def give_way(prepared: Preparation, tools: Tools) -> None:
    """End an order for a CSR that is enrolled no more, and an order that its CA does not know of yet if we would choose
    another CA now."""
    record, row = prepared.leased, prepared.row
    if of_order(row, record) is None:
        why = "another CSR is enrolled now"
    elif record.state is OrderState.PLANNED and (
        choose(row, prepared.csr, prepared.now, tools).directory != record.directory
    ):
        why = "another CA is asked now"
    else:
        return
    abandon(tools.orders.fail(record, why, prepared.now), tools)
    prepared.record = None


def look_whether_due(prepared: Preparation, tools: Tools) -> Ended | None:
    """Decide by our own rule, and by the CA's renewal information where it has some."""
    row, policy = believed(prepared.row, tools.seals), tools.settings.renewal
    prepared.row = row
    decision = decide(row, prepared.now, policy)
    if isinstance(decision, Consult):
        row = prepared.row = consult(row, prepared.now, tools)
        decision = decide(row, prepared.now, policy, consulted=True)
    if isinstance(decision, Due):
        prepared.planned, prepared.cause = row, decision.cause
        return None
    assert isinstance(decision, NotDue)  # noqa: S101 - never Consult twice
    save_next_look(row, decision, tools)
    return not_due(decision)


def not_due(decision: NotDue) -> Ended:
    """The end of an attempt by *decision*."""
    until = f", until {utc_text(decision.until)}" if decision.until else ""
    return Ended(decision.name, Ending.NOT_DUE, decision.reason + until, decision.until or 0)


def choose_authority(prepared: Preparation, tools: Tools) -> None:
    """Choose the CA. If our account there ordered the present certificate, the order names that as replaced (RFC 9773
    §5). A row without an account was saved by an earlier version. The order of a change names none: CAs refuse
    that where no name is the same."""
    row, ca = prepared.row, choose(prepared.row, prepared.csr, prepared.now, tools)
    prepared.directory = ca.directory
    ours = row.directory == ca.directory and row.account in ("", ca.account_id)
    if ours and row.ari_ask_at is not None and not row.changing:
        prepared.replaces = identifier(row)


def keep_to_memory(prepared: Preparation, tools: Tools) -> Ended | None:
    """Open no more orders for one certificate than its CA may bear, whatever the database says of those before, and of
    one that is still to be opened."""
    record, row, now = prepared.record, prepared.row, prepared.now
    pacing = tools.pacing.get(record.directory if record is not None else prepared.directory)
    if pacing is None or (record is not None and record.state is not OrderState.PLANNED):
        return None
    past = tools.seals.past(row.name)
    often = pacing.again_at(past.ordered, now)
    if often > now:
        return _held(prepared, often, OFTEN, tools, by=BY_OURSELVES)
    paced = pacing.issued_again_at(() if row.changing else past.issued, now)
    return _held(prepared, paced, PACED, tools) if paced > now else None


def look_where_to_publish(prepared: Preparation, tools: Tools) -> None:
    """Find where the answers go: a name server that is down must not cost an order."""
    find_places(prepared.row, prepared.csr, tools)


def ask_from_root(prepared: Preparation, tools: Tools) -> None:
    """Ask DNS from the root downwards, as the CA will: a zone that nobody serves must not cost an order either. Raises
    DnsError."""
    require_served(prepared.row, prepared.csr.names, tools)


def open_within_limits(prepared: Preparation, tools: Tools) -> Ended | None:
    """Insert the order's row, which counts toward the CA's limits. Drop it again if they do not allow it now."""
    row, names, now = prepared.row, prepared.csr.names, prepared.now
    in_window = prepared.replaces != "" and prepared.cause in BY_WINDOW
    pacing = tools.pacing[prepared.directory]
    digest = csr_digest(row.csr)
    order = new_order(row.name, prepared.directory, now, prepared.cause, replaces=prepared.replaces, csr_sha256=digest)
    with pacing.turn:
        opened = tools.orders.open(order, names)
        if opened is None:
            return left_elsewhere(row.name, tools.orders.elsewhere(row.name, now), now)
        prepared.record = opened
        renewal = renews(row, names, prepared.directory)
        free_at = pacing.free_at(names, now, renewal=renewal, in_window=in_window, besides=opened.id)
        if free_at <= now:
            return None
        tools.orders.drop(opened)
        prepared.record = None
    return _held(prepared, free_at, PACED, tools)


def still_due(prepared: Preparation, tools: Tools) -> Ended | None:
    """End the attempt if another issuer finished between our look and our lease."""
    row = prepared.row
    if prepared.by_hand or row == prepared.planned:
        return None
    if isinstance(decide(row, prepared.now, tools.settings.renewal, consulted=True), Due):
        return None
    return Ended(row.name, Ending.NOT_DUE, "done by another issuer")


def offer_approved(prepared: Preparation, tools: Tools) -> Ended | None:
    """Offer the certificate that waited for approval, if it needs none any more, instead of an order. One that must not
    be used gives way to a new one."""
    if prepared.cause is not Cause.APPROVAL:
        return None
    row = prepared.row
    try:
        stored = offer(row, tools.approvals, tools.seals, tools.settings.renewal, prepared.now)
    except RefusedError as error:
        log.warning("approval.refused", certificate=row.name, error=str(error))
        prepared.row = dataclasses.replace(row, unapproved="")
        return look_whether_due(prepared, tools)
    if stored is None:
        return Ended(row.name, Ending.NOT_DUE, "done by another issuer")
    return Ended(row.name, Ending.STORED, stored)


GOING_ON: tuple[Step, ...] = (leave_to_person, read_again, leave_to_other_csr, give_way, keep_to_hold, keep_to_memory)
OPENING: tuple[Step, ...] = (
    look_whether_due,
    offer_approved,
    choose_authority,
    keep_to_hold,
    keep_to_memory,
    look_where_to_publish,
    ask_from_root,
    open_within_limits,
    read_again,
    still_due,
)


def stored_csr(row: Enrolment) -> CsrFacts:
    """The CSR in the row. Raises RefusedError, CompromisedKey."""
    try:
        facts = accepted(row.request)
    except CsrRefused as error:
        hint = f"make a new CSR on the host, then `populate --replace {quote(row.name)} --csr FILE`"
        raise RefusedError(f"the stored CSR of {row.name} is not usable", why=str(error), hint=hint) from error
    if facts.spki_sha256 in row.compromised:
        raise CompromisedKey([row.name])
    return facts


# --- what the steps use ---


def _held(prepared: Preparation, until: int, failure: Failure, tools: Tools, *, by: str = BY_A_LIMIT) -> Ended:
    """Save the moment *until*. An order under way goes on at that moment, even if the certificate is disabled."""
    due_at = until if failure is PACED else look_when_held(until, prepared.now)
    tools.certificates.postpone(prepared.row.name, due_at, change=prepared.row.changing)
    goes_on = prepared.row.enabled or prepared.record is not None
    urgent = is_overdue(prepared.row, until, tools.settings.renewal)
    return Ended.held(prepared.row.name, until, failure, by_itself=goes_on, by=by, urgent=urgent)
