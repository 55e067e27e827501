"""The issue by hand: `challenges`, then a person publishes the answers, then `solve` and `request`.

The order is an ordinary one. Its record says that a person works on it until its deadline. After the deadline `run`
goes on with it as with any other. The journal has the answer of a person without a zone: certfleet does not withdraw
that answer.
"""

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from shlex import quote

from common.errors import CertfleetError, RefusedError
from issuer.journey.begin import begin, stored_csr
from issuer.journey.issue import advance, wanted_answers
from issuer.journey.ports import CertificateAuthority, Tools
from issuer.journey.sealed import only_ours, require_seal
from issuer.journey.solver import Solver, shares
from issuer.journey.withdraw import abandon, withdraw
from issuer.journey.work import Work, authority
from issuer.model.acme import CaAuthorization, CaChallenge, Challenge, Laggard
from issuer.model.asked import Asked
from issuer.model.enrolment import Enrolment
from issuer.model.errors import AcmeProblem, NotSealed, OtherAccount
from issuer.model.failure import Failure
from issuer.model.orders import HAND_SECONDS, Cause, OrderState
from issuer.model.outcomes import Ended
from issuer.model.tries import BY_NEXT_RUN
from issuer.rules.change import asked_for, of_order, turn
from issuer.rules.due import NotDue, decide
from issuer.rules.renewal import remaining
from issuer.rules.retry import interrupts, retry_moment

_WISH = "staged by hand"
_BEFORE = {
    OrderState.ORDERED: "publish the challenges and run `solve` first",
    OrderState.PUBLISHED: "run `solve` first",
    OrderState.VISIBLE: "run `solve` again, the CA has not finished looking",
}
_AFTER = "go on with `solve` and `request`"


class ByHand:
    """A Solver that leaves publishing to a person. The real solver still looks, where it can."""

    patience = HAND_SECONDS

    def __init__(self, real: Solver):
        self._real = real
        self.type, self.propagation = real.type, real.propagation

    def place(self, name: str, row: Enrolment) -> tuple[str, str]:
        """The owner, and no zone: a person publishes the answer."""
        return self._real.type.owner(name.removeprefix("*.")), ""

    def publish(self, entries: Sequence[Challenge]) -> None:
        """Does nothing: a person publishes."""

    def unseen(self, entries: Sequence[Challenge]) -> list[Laggard]:
        """The laggards that the real solver sees. It cannot look for an entry without a zone: we leave that out."""
        return self._real.unseen([entry for entry in entries if entry.zone])

    def too_late(self, laggards: Sequence[Laggard]) -> CertfleetError:
        return self._real.too_late(laggards)

    def asked(self, entries: Sequence[Challenge], since: float) -> Asked | None:
        return self._real.asked(entries, since)

    def withdraw(self, entries: Sequence[Challenge]) -> None:
        """Withdraw the answers that `run` published before a person took the order."""
        self._real.withdraw(entries)

    def keeper(self, entry: Challenge) -> str:
        return self._real.keeper(entry)


def by_hand(tools: Tools) -> Tools:
    """The same tools, with each solver inside a ByHand. A person publishes by the ways that were enrolled."""
    webroot = dataclasses.replace(tools.settings.webroot, fall_back_to_dns=False)
    settings = dataclasses.replace(tools.settings, webroot=webroot)
    return dataclasses.replace(
        tools, settings=settings, solvers={kind: ByHand(solver) for kind, solver in tools.solvers.items()}
    )


@dataclass(frozen=True, slots=True)
class OfferedChallenge:
    """One challenge that the CA offers for *name* (RFC 8555 §7.1.5). *publish* tells a person what answers it; for a
    type that we do not know it is the key authorization (§8.1), and "" without a token or for a malformed challenge."""

    name: str
    authorization_url: str
    challenge: CaChallenge
    publish: str


@dataclass(frozen=True, slots=True)
class Staged:
    """An order in a person's hands: the *answers* to publish, and all that the CA offers."""

    answers: list[Challenge]
    offered: list[OfferedChallenge]


def open_by_hand(row: Enrolment, tools: Tools) -> Staged:
    """Open an order for a person, in the state ORDERED. Raises CertfleetError."""
    work = _work(row, tools)
    with _ending_dead_orders(work, tools):
        if work.record.state is OrderState.PLANNED:
            try:
                advance(work, tools)
            except CertfleetError:
                if work.asked:
                    _give_to_person(work, tools)
                raise
        if work.record.state is not OrderState.ORDERED:
            raise RefusedError(f"the order for {row.name} is {work.record.state.value} already", hint=_AFTER)
        _give_to_person(work, tools)
        authorizations = _authorizations(work, tools)
        ca = authority(work.record, tools)
        offered = [_offered(each, one, ca, tools) for each in authorizations for one in each.challenges]
        return Staged(wanted_answers(authorizations, work, ca, tools), offered)


def _offered(
    authorization: CaAuthorization, challenge: CaChallenge, ca: CertificateAuthority, tools: Tools
) -> OfferedChallenge:
    solver, publish = tools.solvers.get(challenge.type), ""
    if solver is not None:
        kind = solver.type
        facts = (authorization.identifier, authorization.url, challenge.url, kind.owner(authorization.identifier))
        with contextlib.suppress(AcmeProblem):  # a malformed one that nobody wants
            value = kind.content(challenge, authorization.name, ca.key_authorization)
            publish = kind.instruction(Challenge(kind.name, *facts, zone="", value=value))
    elif challenge.token:
        publish = ca.key_authorization(challenge.token)
    return OfferedChallenge(authorization.name, authorization.url, challenge, publish)


def _give_to_person(work: Work, tools: Tools) -> None:
    now = int(tools.clock())
    if not work.row.reissue_reason:  # so that `run` goes on when the person does not
        tools.certificates.request_reissue([work.row.name], _WISH)
    claimed = dataclasses.replace(work.record, cause=Cause.BY_HAND, deadline=now + HAND_SECONDS)
    work.record = tools.orders.save(work.record, claimed, now)


def solve_by_hand(row: Enrolment, tools: Tools, *, real: Tools, unseen_is_fine: bool) -> list[Laggard]:
    """Look, tell the CA, and wait for its validation. If there are laggards and not *unseen_is_fine*, return them and
    tell the CA nothing; else return []. Raises CertfleetError."""
    work = _claimed(row, tools)
    with _ending_dead_orders(work, tools):
        if work.record.state is OrderState.ORDERED:
            laggards = _unseen(_entries(work, tools), row, real)
            if laggards and not unseen_is_fine:
                return laggards
        _go_on(work, tools, until=OrderState.VALIDATED)
        return []


def request_by_hand(row: Enrolment, tools: Tools) -> str:
    """Finalize and store. Returns one line about the new certificate. Raises CertfleetError."""
    work = _claimed(row, tools)
    if work.record.state in _BEFORE:
        tools.orders.release(work.record)
        raise RefusedError(f"the order for {row.name} is not validated", hint=_BEFORE[work.record.state])
    with _ending_dead_orders(work, tools):
        _go_on(work, tools, until=OrderState.STORED)
    withdraw(work, tools)
    return work.stored


@contextlib.contextmanager
def _ending_dead_orders(work: Work, tools: Tools) -> Iterator[None]:
    """Give the lease back in any case. End an order that the CA refused. Drop an order that never reached the
    CA."""
    try:
        yield
    except CertfleetError as error:
        if isinstance(error, AcmeProblem) and not (interrupts(error) or isinstance(error, OtherAccount)):
            _give_up(work, error, tools)
        raise
    finally:
        if work.record.state is OrderState.PLANNED and not work.asked:
            tools.orders.drop(work.record)
        elif not work.record.ended:
            tools.orders.release(work.record)


def _give_up(work: Work, error: AcmeProblem, tools: Tools) -> None:
    """End the order and the wish for a certificate by hand. The row is due again when it would be due without that
    wish."""
    now, policy, row = int(tools.clock()), tools.settings.renewal, work.row
    wish = "" if row.reissue_reason == _WISH else row.reissue_reason
    due_at: int | None = retry_moment(row.failures + 1, now, policy.retry, remaining(row, now))
    if not row.changing:
        decision = decide(dataclasses.replace(row, reissue_reason=wish, due_at=None), now, policy, consulted=True)
        due_at = decision.until if isinstance(decision, NotDue) else due_at
    failure = Failure.of(error)
    work.record = tools.orders.fail(work.record, failure.sentence, now)
    tools.outcomes.give_up_by_hand(row.name, wish, failure, due_at=due_at, now=now, change=row.changing)
    abandon(work.record, tools)
    withdraw(work, tools)


def _claimed(row: Enrolment, tools: Tools) -> Work:
    """The order that `challenges` opened. Raises RefusedError if there is none."""
    require_seal(row, tools.seals)
    record = only_ours(tools.orders.claim(row.name, int(tools.clock())), tools)
    seen = of_order(row, record) if record is not None else None
    if record is None or seen is None or record.state is OrderState.PLANNED:
        if record is not None:
            tools.orders.release(record)
        raise RefusedError(
            f"there is no order by hand for {row.name}", hint=f"run `challenges {quote(row.name)}` first"
        )
    try:
        require_seal(seen, tools.seals)
        return Work(record, seen, stored_csr(seen), resumed=True, asked=True)
    except (RefusedError, NotSealed):
        tools.orders.release(record)
        raise


def _work(row: Enrolment, tools: Tools) -> Work:
    now, policy = int(tools.clock()), tools.settings.renewal
    wanted = turn(asked_for(row, row.reissue_reason or _WISH), now, policy)
    require_seal(wanted, tools.seals)
    begun = begin(wanted, stored_csr(wanted), tools, by_hand=True)
    if isinstance(begun, Ended):
        failure = begun.failure or Failure(begun.detail, hint="`status` shows how it stands")
        raise RefusedError(begun.line(BY_NEXT_RUN), why=str(failure), hint=failure.hint)
    return begun


def _entries(work: Work, tools: Tools) -> list[Challenge]:
    return wanted_answers(_authorizations(work, tools), work, authority(work.record, tools), tools)


def _authorizations(work: Work, tools: Tools) -> list[CaAuthorization]:
    ca = authority(work.record, tools)
    return [ca.authorization(url) for url in ca.order(work.record.url).authorizations]


def _unseen(entries: Sequence[Challenge], row: Enrolment, real: Tools) -> list[Laggard]:
    """The laggards that the real solver sees, for the entries that it can place. A standing answer has its place
    already."""
    placed = [entry for entry in entries if real.solvers[entry.type].type.standing]
    for entry in entries:
        if entry in placed:
            continue
        try:
            owner, zone = real.solvers[entry.type].place(entry.identifier, row)
        except CertfleetError:
            continue
        placed.append(dataclasses.replace(entry, owner=owner, zone=zone))
    return [laggard for solver, some in shares(placed, real.solvers) for laggard in solver.unseen(some)]


def _go_on(work: Work, tools: Tools, *, until: OrderState) -> None:
    while work.record.state is not until and not work.record.ended:
        again_at = advance(work, tools)
        if again_at is not None:
            time.sleep(max(0.0, again_at - tools.clock()))
