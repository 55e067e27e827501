"""Looks at rows before an attempt begins: is it to be tried now, and when is the next look?"""

from collections.abc import Collection

import structlog

from issuer.journey.approval import believed
from issuer.journey.ports import Looks, Tools
from issuer.journey.rows import CertificateRows
from issuer.model.enrolment import Enrolment
from issuer.model.limits import LONGEST_HOLD
from issuer.rules.change import turn
from issuer.rules.due import Consult, Due, NotDue, decide

log = structlog.get_logger()
_MOST_LOOKS = 1000  # at once


def left_alone(row: Enrolment, tools: Tools, *, resumes: bool) -> NotDue | None:
    """None if *row* is to be tried now, by the CSR whose turn it is: it is due, or its order is under way (*resumes*).
    Else the decision, with the next moment saved. None too for a row that is not what was enrolled, because that may be
    why it is not due, and for one at whose decision we have a fault."""
    try:
        now, policy = int(tools.clock()), tools.settings.renewal
        row = believed(turn(row, now, policy), tools.seals)
        decision = decide(row, now, policy, resumes=resumes)
        spoilt = row.enabled and isinstance(decision, NotDue) and bool(tools.seals.faults(row))
    except Exception:  # a fault of ours stops no other row; the attempt meets it again and records it
        log.info("decision.fault", certificate=row.name, exc_info=True)
        return None
    next_look = now if spoilt else _next_look(row, decision, now)
    tools.looks.plan(row.name, next_look, row.ends if row.crt else 0)
    if spoilt or not isinstance(decision, NotDue):
        return None
    save_next_look(row, decision, tools)
    return decision


def planned_looks(looks: Looks, certificates: CertificateRows, known: Collection[str], now: int) -> list[Enrolment]:
    """The rows, besides the *known* ones, whose moment has come by our own memory: somebody may have put off what the
    database says. Names that are enrolled no more are forgotten. Raises StoreError."""
    names = [name for name in looks.come(now, _MOST_LOOKS) if name not in known]
    rows = certificates.enrolled(names)
    for name in set(names) - {row.name for row in rows}:
        looks.plan(name, None)
    return rows


def _next_look(row: Enrolment, decision: Due | NotDue | Consult, now: int) -> int | None:
    """When to look at *row* again, whatever others write to it (epoch seconds): a day after each attempt, and when the
    moment of *decision* has come. Where two CSRs take turns, the other one's moment may be sooner."""
    if isinstance(decision, NotDue) and (decision.until is None or row.change is None):
        return decision.until
    return now + LONGEST_HOLD


def save_next_look(row: Enrolment, decision: NotDue, tools: Tools) -> None:
    """Save the moment of the next look at *row*, and tell the news of *decision*. A disabled row stays as it is."""
    new = decision.until is not None and (decision.until != row.due_at or decision.over)
    if decision.news is not None and (new or not row.enabled):
        tools.tell(decision.news)
    if decision.until is not None and new and row.enabled:
        tools.certificates.plan_look(row, decision.until, over=decision.over)
