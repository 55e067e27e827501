"""From a row that may be due to an order of ours: whose turn it is, which CA, whether its limits allow it.

What can be known without the CA is found out first; the lease is taken last, and the row read again under it.
"""

import contextlib
from collections.abc import Callable, Iterator

import structlog

from common.certificate import parse_bundle
from common.clock import utc_text
from common.errors import CertfleetError, RefusedError
from issuer.journey.issue import Work, find_places
from issuer.journey.ports import CertificateAuthority, Tools
from issuer.model.enrolment import Enrolment
from issuer.model.errors import CompromisedKey, Overtaken
from issuer.model.events import Event, incident
from issuer.model.failure import Failure
from issuer.model.limits import PACED
from issuer.model.orders import BY_WINDOW, Cause, OrderRecord, OrderState
from issuer.model.outcomes import Ended, Ending
from issuer.rules.caa import caa_allows
from issuer.rules.csr import CsrFacts, CsrRefused, read_csr
from issuer.rules.imported import news
from issuer.rules.renewal import Due, NotDue, authority_index, plan, remaining, renews
from issuer.rules.renewal_info import ask_again_at, certificate_id, draw

log = structlog.get_logger()


def begin(row: Enrolment, csr: CsrFacts, tools: Tools, *, by_hand: bool = False) -> Work | Ended:
    """The order under way for *row*, or a new one if it is wanted and allowed. Raises CertfleetError.

    *by_hand*: the caller acts for a person; else an order in a person's hands is left alone.
    """
    now = int(tools.clock())
    record = tools.orders.claim(row.name, now)
    if record is not None and record.in_hand(now) and not by_hand:
        tools.orders.release(record)
        until = utc_text(record.deadline or 0)
        return Ended(row.name, Ending.NOT_DUE, f"being issued by hand until {until}; `issue` takes it over")
    if record is not None:
        with _or(tools.orders.release, record):
            row = _unchanged(row, csr, tools)
            held = _hold_on(record, tools, now)
        if held is not None:
            tools.orders.release(record)
            return _held(row, *held, tools, goes_on=True)
        if record.state is not OrderState.PLANNED or _choose(row, csr, tools).directory == record.directory:
            _tell_incident(record, tools)  # who opened it may have been killed before that was said
            return Work(record, row, csr, resumed=True, asked=True)
        tools.orders.fail(record, "another CA is asked now", now)
    row, decision = decide(row, tools)
    if not isinstance(decision, Due):
        return _not_due(row, decision, tools)
    ca = _choose(row, csr, tools)
    replaces = _replaces(row, ca)
    held = tools.holds.until(ca.account_id, row.name, now)
    if held is not None:
        return _held(row, *held, tools)
    find_places(row, csr, tools)
    renewal = renews(row, csr.names, ca.directory)
    exempt = bool(replaces) and decision.cause in BY_WINDOW
    free_at = tools.budgets[ca.directory].take(row.name, csr.names, now, exempt=exempt, renewal=renewal)
    if free_at > now:
        return _held(row, free_at, PACED, tools)
    record = tools.orders.open(row.name, ca.directory, decision.cause, now, replaces)
    if record is None:
        return Ended(row.name, Ending.ELSEWHERE)
    with _or(tools.orders.drop, record):
        row = _unchanged(row, csr, tools)
    wanted = by_hand or isinstance(plan(row, now, tools.settings.renewal, consulted=True), Due)
    if not wanted:  # another issuer finished between our look and our lease
        tools.orders.drop(record)
        return Ended(row.name, Ending.NOT_DUE, "done by another issuer")
    _tell_incident(record, tools)
    return Work(record, row, csr)


def _hold_on(record: OrderRecord, tools: Tools, now: int) -> tuple[int, Failure] | None:
    """The moment before which the CA does not want to be asked about an order under way, and why."""
    ca = tools.authorities.get(record.directory)
    goes_on = record.state is not OrderState.PLANNED
    return tools.holds.until(ca.account_id, record.name, now, goes_on=goes_on) if ca is not None else None


@contextlib.contextmanager
def _or(let_go: Callable[[OrderRecord], None], record: OrderRecord) -> Iterator[None]:
    """An error before anything was done for an order leaves none in our hands."""
    try:
        yield
    except CertfleetError:
        let_go(record)
        raise


def _unchanged(row: Enrolment, csr: CsrFacts, tools: Tools) -> Enrolment:
    """*row* as it is now, under the order's lease: from here on `remove` is refused, and `revoke` ends the order.
    Raises Overtaken, CompromisedKey."""
    found = tools.certificates.enrolled([row.name])
    if not found or found[0].csr != row.csr:
        raise Overtaken(row.name)
    if csr.spki_sha256 in found[0].compromised:
        raise CompromisedKey([row.name])
    return found[0]


def _tell_incident(record: OrderRecord, tools: Tools) -> None:
    if record.cause is Cause.INCIDENT:
        tools.tell(incident(record.name))


def decide(row: Enrolment, tools: Tools) -> tuple[Enrolment, Due | NotDue]:
    """Plan for *row*, with the CA's renewal information if it is time to ask for it."""
    now = int(tools.clock())
    policy = tools.settings.renewal
    decision = plan(row, now, policy)
    if isinstance(decision, Due | NotDue):
        return row, decision
    row = _consult(row, tools, now)
    decision = plan(row, now, policy, consulted=True)
    assert isinstance(decision, Due | NotDue)  # noqa: S101 - consulted
    return row, decision


def left_alone(row: Enrolment, tools: Tools, *, resumes: bool) -> NotDue | None:
    """Why there is to be no attempt at *row* now; None if there is: it is due, or disabled while its order is out
    (*resumes*). A fault of ours in planning stops no other row: the attempt meets it again, and makes it a failure.
    """
    try:
        decision = plan(row, int(tools.clock()), tools.settings.renewal, resumes=resumes)
    except Exception:
        log.info("plan.fault", certificate=row.name, exc_info=True)
        return None
    return decision if isinstance(decision, NotDue) else None


def _consult(row: Enrolment, tools: Tools, now: int) -> Enrolment:
    """Ask for renewal information (RFC 9773 §4.1), save what is drawn from it. Never fatal: without it our own rule
    decides."""
    ca = tools.authorities.get(row.directory) or next(iter(tools.authorities.values()))
    identifier = certificate_id(parse_bundle(row.crt).leaf)
    wanted = None
    try:
        info = ca.renewal_info(identifier) if identifier else None
        if info is not None:
            row = draw(row, info, now)
            tools.certificates.save_renewal_info(row, info.explanation_url)
            if info.explanation_url:
                log.warning("renewal_info.explained", certificate=row.name, url=info.explanation_url)
            return row
    except CertfleetError as error:
        wanted = getattr(error, "retry_after", None)
        log.info("renewal_info.unavailable", certificate=row.name, error=str(error))
    if row.ari_ask_at is not None:
        row = row.asked_again(ask_again_at(wanted, now))
        tools.certificates.save_renewal_info(row, "")
    return row


def _choose(row: Enrolment, csr: CsrFacts, tools: Tools) -> CertificateAuthority:
    """The first CA, or in need another one that CAA does not forbid."""
    authorities = list(tools.authorities.values())
    ca = authorities[authority_index(row, len(authorities), remaining(row, int(tools.clock())))]
    if ca is authorities[0]:
        return ca
    refusal = _caa_refusal(row, csr, ca, tools)
    if refusal:
        log.warning("authority.forbidden", certificate=row.name, directory=ca.directory, why=refusal)
        return authorities[0]
    log.warning("authority.fallback", certificate=row.name, directory=ca.directory)
    return ca


def _caa_refusal(row: Enrolment, csr: CsrFacts, ca: CertificateAuthority, tools: Tools) -> str:
    """Why CAA keeps *ca* from issuing for one of the names; "" if it does not. What cannot be asked forbids
    (RFC 8659 §3: a lookup that fails is no permission)."""
    try:
        for name in csr.names:
            records = tools.caa(name.removeprefix("*."))
            account = ca.account_url() if records else ""
            wildcard = name.startswith("*.")
            method = tools.solver(row).type.name
            verdict = caa_allows(records, ca.caa_identities, account, method, wildcard=wildcard)
            if verdict.allowed is False:
                return f"{name}: {verdict.reason}"
    except CertfleetError as error:
        return str(error)
    return ""


def _replaces(row: Enrolment, ca: CertificateAuthority) -> str:
    """RFC 9773 §5: only for a certificate of the same CA that offers renewal information."""
    if row.directory != ca.directory or row.ari_ask_at is None:
        return ""
    try:
        return certificate_id(parse_bundle(row.crt).leaf)
    except ValueError:
        return ""


def stored_csr(row: Enrolment) -> CsrFacts:
    """The facts of the CSR in the row. Raises RefusedError, CompromisedKey."""
    try:
        facts = read_csr(row.csr)
    except CsrRefused as error:
        hint = "make a new CSR on the host, `remove` and `populate` again"
        raise RefusedError(f"the stored CSR of {row.name} is not usable", why=str(error), hint=hint) from error
    if facts.spki_sha256 in row.compromised:
        raise CompromisedKey([row.name])
    return facts


def put_off(row: Enrolment, decision: NotDue, tools: Tools) -> Event | None:
    """Save when *row* is to be looked at next; the word that is due about an imported one is told first."""
    if decision.until is None or decision.until == row.due_at:
        return None
    event = news(row, int(tools.clock()), tools.settings.renewal)
    if event is not None:
        tools.tell(event)
    tools.certificates.postpone(row.name, decision.until)
    return event


def _not_due(row: Enrolment, decision: NotDue, tools: Tools) -> Ended:
    put_off(row, decision, tools)
    until = f", until {utc_text(decision.until)}" if decision.until else ""
    return Ended(row.name, Ending.NOT_DUE, decision.reason + until, decision.until or 0)


def _held(row: Enrolment, until: int, failure: Failure, tools: Tools, *, goes_on: bool = False) -> Ended:
    """*goes_on*: with an order that is under way, also where the certificate is disabled."""
    tools.certificates.postpone(row.name, until)
    return Ended.held(row.name, until, failure, by_itself=row.enabled or goes_on)
