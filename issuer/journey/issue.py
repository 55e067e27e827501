"""THE JOURNEY: order → publish → await → answer → finalize → store → withdraw.

Each step takes one order from its state to the next, or says when to look again. The record is saved before the world
is touched and after each step. No step sleeps, and none decides about retries: it raises, and rules/retry.py says what
that means.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import structlog

from common.certificate import Bundle, certified_names, not_after, not_before
from common.clock import utc_text
from common.errors import Retry
from issuer.journey.origin import change_of_authority, profile_asked, unapproved_line
from issuer.journey.ports import CertificateAuthority, Tools
from issuer.journey.register import have_account
from issuer.journey.sealed import remember_ordered, remember_stored
from issuer.journey.solver import shares
from issuer.journey.unvalidated import VALIDATION_SECONDS, validation_failed
from issuer.journey.work import Work, authority, journalled
from issuer.model.acme import CaAuthorization, CaOrder, Challenge, Problem
from issuer.model.csr import CsrFacts
from issuer.model.enrolment import Enrolment
from issuer.model.errors import AcmeProblem
from issuer.model.leaf import in_short
from issuer.model.moments import believable
from issuer.model.obtained import Obtained
from issuer.model.orders import HAND_SECONDS, Cause, OrderState
from issuer.rules.acceptance import accept
from issuer.rules.approval import approval_wanted_until, telling_of_wait
from issuer.rules.challenges import Answer, answers, pending
from issuer.rules.csr import hint_on_finalize, hint_on_order
from issuer.rules.due import FORCED, MISFIT
from issuer.rules.renewal import first_look, is_early

log = structlog.get_logger()
_OFTEN, _RARELY = 8, 20.0  # questions before they become rarer, and the longest time between two (seconds)
_LONGEST_LOOK = 300.0  # well below the lease, which each look extends


Step = Callable[[Work, Tools], float | None]
"""Returns None when the order moved on, else the moment to look again."""


def advance(work: Work, tools: Tools) -> float | None:
    """Run the step of the order's state. Returns None when the order moved on, else when to look again (epoch seconds).
    Raises CertfleetError."""
    state = work.record.state
    again_at = STEPS[state](work, tools)
    if again_at is None:
        work.looks = 0
        log.info("order.moved", certificate=work.record.name, old=state.value, new=work.record.state.value)
        return None
    work.looks += 1
    return again_at


def find_places(row: Enrolment, csr: CsrFacts, tools: Tools) -> None:
    """Find the place of every answer, so that a dead name server never costs an order. Raises CertfleetError."""
    for name in csr.names:
        tools.solver(row, name).place(name, row)


def open_order(work: Work, tools: Tools) -> None:
    """PLANNED → ORDERED: newOrder, and its URL saved before anything else. After a slow start the lease is renewed
    before the CA hears of the order."""
    began = tools.clock()
    if work.resumed:  # a new order's places were found before it was opened
        find_places(work.row, work.csr, tools)
    ca = authority(work.record, tools)
    have_account(ca, tools)
    known = ca.find_order(work.csr.names) if work.resumed else None  # the answer to an earlier newOrder may be lost
    if tools.clock() - began > tools.timing.lease_trusted:
        work.record = tools.orders.save(work.record, work.record, int(tools.clock()))
    work.ca_order = known or _new_order(work, ca)
    _move(work, tools, OrderState.ORDERED, url=work.ca_order.url)
    if not known:
        remember_ordered(work.record.name, tools.clock(), tools.seals)


def _new_order(work: Work, ca: CertificateAuthority) -> CaOrder:
    work.asked = True
    try:
        return ca.open_order(work.csr.names, work.record.replaces)
    except AcmeProblem as problem:
        work.asked = problem.in_doubt
        problem.hint = hint_on_order(problem, work.csr)
        raise


def publish_challenges(work: Work, tools: Tools) -> None:
    """ORDERED → PUBLISHED: every answer journalled, then published; → VALIDATED when none is wanted."""
    order = _order(work, tools, "pending", "ready", "processing", "valid")
    ca = authority(work.record, tools)
    authorizations = [ca.authorization(url) for url in order.authorizations]
    if order.status != "pending" or not pending(authorizations):
        work.ca_order = order if order.status == "ready" else None
        _move(work, tools, OrderState.VALIDATED, within=tools.timing.ca_seconds)
        return
    entries = wanted_answers(authorizations, work, ca, tools)
    # Other rows of the order are not published: an earlier attempt journalled another place, or somebody who can write
    # to the database wants his own answer published. The sweep withdraws the former once the order is over.
    wanted = {(entry.url, entry.place) for entry in entries}
    added = tools.journal.add(work.record.id, entries, int(tools.clock()))
    work.journalled = [entry for entry in added if (entry.url, entry.place) in wanted]
    published = list(shares(work.journalled, tools.solvers))
    for solver, some in published:
        solver.publish([entry for entry in some if entry.ours])
    _move(work, tools, OrderState.PUBLISHED, within=max(solver.patience for solver, _ in published))


def wanted_answers(
    authorizations: Sequence[CaAuthorization], work: Work, ca: CertificateAuthority, tools: Tools
) -> list[Challenge]:
    """The answers to publish for the order, each of the type by which its name is validated. Raises CertfleetError."""

    def answer(name: str) -> Answer:
        solver = tools.solver(work.row, name)
        return Answer(
            solver.type.name,
            lambda challenge: solver.type.content(challenge, name, ca.key_authorization),
            lambda: solver.place(name, work.row),
        )

    return answers(authorizations, work.csr.names, answer)


def await_visibility(work: Work, tools: Tools) -> float | None:
    """PUBLISHED → VISIBLE: every server that the CA could ask shows every answer."""
    looks = [(solver, solver.unseen(some)) for solver, some in shares(journalled(work, tools), tools.solvers)]
    work.unseen = [laggard for _, laggards in looks for laggard in laggards]
    if not work.unseen:
        _move(work, tools, OrderState.VISIBLE, within=VALIDATION_SECONDS)
        return None
    longest = max(solver.patience for solver, _ in looks)  # the deadline is that of the most patient type
    for solver, laggards in looks:
        if laggards and _late(work, tools, longest, sooner=longest - solver.patience):
            raise solver.too_late(laggards)
    return _look_again(work, tools, first=0.05, longest=5.0)


def answer_challenges(work: Work, tools: Tools) -> float | None:
    """VISIBLE → VALIDATED: tell the CA that it may look, then ask what it found."""
    if not work.answered:
        work.told_at = tools.clock()
        _answer(work, tools)
        work.answered = True
    order = work.ca_order = authority(work.record, tools).order(work.record.url)
    if order.status in ("ready", "processing", "valid"):
        _move(work, tools, OrderState.VALIDATED, within=tools.timing.ca_seconds)
        return None
    if order.status != "pending" or _late(work, tools):
        raise validation_failed(order, work, tools)
    return _ask_again(work, tools, order, first=0.03, often=0.5)


def begin_finalization(work: Work, tools: Tools) -> float | None:
    """VALIDATED → FINALIZING: send the CSR. After a restart, ask first whether it was sent."""
    order = _order(work, tools, "pending", "ready", "processing", "valid")
    if order.status == "pending":  # every authorization is valid; the CA has not updated the order yet
        work.ca_order = None
        return _ask_again(work, tools, order, first=0.1, often=5.0)
    if order.status == "ready":
        with _speaking_of(work.csr):
            work.ca_order = authority(work.record, tools).finalize(order, work.csr.der)
    _move(work, tools, OrderState.FINALIZING, within=tools.timing.ca_seconds)
    return None


def collect_and_store(work: Work, tools: Tools) -> float | None:
    """FINALIZING → STORED: fetch, check against the CSR, store together with the end of the order."""
    with _speaking_of(work.csr):
        order = _order(work, tools, "processing", "valid")
    if order.status == "processing":
        work.ca_order = None
        return _ask_again(work, tools, order, first=0.03, often=5.0)
    now = int(tools.clock())
    ca = authority(work.record, tools)
    bundle = _accepted(ca.certificate(order.certificate_url), work, now, tools)
    starts, ends = not_before(bundle.leaf), not_after(bundle.leaf)
    policy = tools.settings.renewal
    due_at, ask_at = first_look(work.record.name, starts, ends, policy, now, asks=ca.offers_renewal_info)
    changed = change_of_authority(work, bundle, tools)
    waits_until = approval_wanted_until(work.row, work.record, now, policy) if changed is not None else 0
    obtained = Obtained(
        work.row.csr,
        bundle,
        work.record.directory,
        waits_until or due_at,
        ask_at,
        account=ca.account_id,
        profile=profile_asked(work, tools),
        early=is_early(work.record, work.row.present),
    )
    line = unapproved_line(work.record.name, obtained, ca, tools) if waits_until else ""
    news = str(changed.told) if changed is not None else ""
    tools.outcomes.store(work.record, obtained, now, news=news, unapproved=line)
    if not waits_until:
        remember_stored(work.record.name, bundle, now, tools.seals, taken=work.row if work.row.changing else None)
    if changed is not None:
        tools.tell(telling_of_wait(changed, waits_until) if waits_until else changed)
    work.record = dataclasses.replace(work.record, state=OrderState.STORED, deadline=None)
    why = {Cause.FORCED: FORCED, Cause.MISFIT: MISFIT}.get(work.record.cause, "")
    why = f"it waits for approval until {utc_text(waits_until)}" if waits_until else why
    work.stored = f"{in_short(bundle.leaf)}{f'; {why}' if why else ''}"
    return None


STEPS: dict[OrderState, Step] = {
    OrderState.PLANNED: open_order,
    OrderState.ORDERED: publish_challenges,
    OrderState.PUBLISHED: await_visibility,
    OrderState.VISIBLE: answer_challenges,
    OrderState.VALIDATED: begin_finalization,
    OrderState.FINALIZING: collect_and_store,
}


def _move(work: Work, tools: Tools, state: OrderState, *, url: str = "", within: int | None = None) -> None:
    now = int(tools.clock())
    deadline = None if within is None else now + within
    moved = dataclasses.replace(work.record, state=state, url=url or work.record.url, deadline=deadline)
    work.record = tools.orders.save(work.record, moved, now)


def _ask_again(work: Work, tools: Tools, order: CaOrder, *, first: float, often: float) -> float:
    """The moment of the next question about an order that the CA is at work on: soon every *often* seconds, then ever
    more rarely, and as the CA asks; the last question comes when the time is over."""
    left, growing = (work.record.deadline or 0) - tools.clock(), often * 1.25 ** max(0, min(work.looks - _OFTEN, 30))
    longest = max(often, min(growing, _RARELY, left))
    return _look_again(work, tools, first=first, longest=longest, asked=order.ask_again_at)


def _look_again(work: Work, tools: Tools, *, first: float, longest: float, asked: float | None = None) -> float:
    """The moment of the next look: exponential, or as the CA asks; the lease is extended for that long. Past the
    state's deadline raises AcmeProblem with Retry.SOON: the order lives, and people hear of it."""
    if _late(work, tools):
        what = f"the CA makes no progress with the order for {work.record.name}"
        why = f"it has been {work.record.state.value} for more than {tools.timing.ca_seconds // 60} minutes"
        raise AcmeProblem(
            what, why=why, hint="no action needed: certfleet looks at the same order again; if this stays, ask the CA"
        )
    now = tools.clock()
    wait = min(first * 1.6 ** min(work.looks, 30), longest)
    if asked is not None:
        wait = max(wait, min(asked - now, _LONGEST_LOOK))
    if wait >= 1:
        tools.orders.save(work.record, work.record, int(now))
    return now + wait


def _late(work: Work, tools: Tools, longest: int = 0, *, sooner: int = 0) -> bool:
    """Is the state's deadline over, or the moment *sooner* seconds before it? One that is further ahead than *longest*
    seconds, or a person's time, comes from a wrong clock and is over too. An order without one was left by an older
    version."""
    now, deadline = tools.clock(), work.record.deadline or 0
    return now >= deadline - sooner or not believable(deadline, now, max(longest, HAND_SECONDS))


def _order(work: Work, tools: Tools, *expected: str) -> CaOrder:
    """The order as last heard of in this process, else asked for. Raises AcmeProblem when its status is not one of
    *expected*, with Retry.LATER only if the CA calls it invalid."""
    order = work.ca_order = work.ca_order or authority(work.record, tools).order(work.record.url)
    if order.status not in expected:
        error = order.error or Problem("", f"its status is {order.status or 'missing'}")
        why, url = error.detail, error.url
        if order.status == "invalid":
            what = f"the CA ended the order for {work.record.name}"
            raise AcmeProblem(what, why=why, url=url, kind=error.kind, retry=Retry.LATER)
        raise AcmeProblem(f"the CA's answer does not fit the order for {work.record.name}", why=why)
    return order


@contextlib.contextmanager
def _speaking_of(csr: CsrFacts) -> Iterator[None]:
    """Give a refusal its hint about *csr*."""
    try:
        yield
    except AcmeProblem as problem:
        problem.hint = hint_on_finalize(problem, csr)
        raise


def _accepted(pem: bytes, work: Work, now: int, tools: Tools) -> Bundle:
    """The CA's answer, judged. Raises AcmeProblem."""
    lenient = any(ca.extra_names for ca in tools.settings.authorities if ca.directory == work.record.directory)
    past, resumed = tools.seals.past(work.record.name), work.resumed
    bundle = accept(pem, work.csr, now, present=work.row.present, past=past, extra_names=lenient, resumed=resumed)
    if extra := sorted(certified_names(bundle.leaf) - set(work.csr.names)):
        log.warning("certificate.extra_names", certificate=work.record.name, names=", ".join(extra))
    return bundle


def _answer(work: Work, tools: Tools) -> None:
    """Also after a restart nobody asks a server that the table names: only challenges that the CA itself lists."""
    ca = authority(work.record, tools)
    urls = dict.fromkeys(entry.url for entry in journalled(work, tools))  # one challenge may have entries in two places
    if work.resumed:  # an earlier process may have answered; the CA refuses a second answer
        found = [ca.authorization(url) for url in ca.order(work.record.url).authorizations]
        pending_there = {item.url for one in found for item in one.challenges if item.status == "pending"}
        urls = {url: None for url in urls if url in pending_there}
    for url in urls:
        ca.answer(url)
