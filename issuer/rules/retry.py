"""The meaning of an error: for the order, for the certificate, and for the moment of the next attempt. Pure.

An error ends the order, and the next attempt opens a new one; or it interrupts the order, and the next attempt goes on
with it until it is too old. Only an answer by the CA itself ends an order: a problem document, an order or
authorization that it calls invalid, a wrong certificate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from http import HTTPStatus
from typing import TypeGuard, TypeVar

from common.clock import duration_text
from common.errors import CertfleetError, ConfigError, FileError, Retry
from issuer.model.config import RenewalSettings, WebrootSettings
from issuer.model.enrolment import Enrolment, Validation
from issuer.model.errors import (
    AcmeProblem,
    GivenUp,
    LeaseLost,
    NotRegistered,
    NotSealed,
    OtherAccount,
    Overtaken,
    StoreError,
    WrongCertificate,
)
from issuer.model.failure import Failure
from issuer.model.leaf import Leaf
from issuer.model.limits import ACCOUNT, LONGEST_HOLD, LONGEST_HOLD_ON_NAME
from issuer.model.orders import OrderRecord, OrderState
from issuer.model.outcomes import NOT_AGAIN, Ended, Ending, Waiting
from issuer.rules.renewal import Remaining, is_overdue, remaining
from issuer.rules.scope import hold_scope

Authority = TypeVar("Authority")
_LIMITED, _BUSY = HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE
_DAY = 86400
_MEANWHILE = "another CA is asked next, unless CAA forbids it; `issue NAME --lift-hold` once this one lifts its limit"
_FIRST_PAUSE = 0.5  # seconds before the first quick try; each further one doubles it


class Fate(Enum):
    GOES_ON = "the next attempt goes on with it, also where the certificate is disabled"
    ENDS = "nobody goes on with it"
    FORGOTTEN = "the CA cannot know of it, so nothing of it is kept"
    ENDED_BEFORE = "somebody else ended it, and left it to us to take back what it has published"
    ELSEWHERE = "another issuer goes on with it"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """The situation that the error meets. Times are epoch seconds. *order*: None before there is one. *asked*: the CA
    may know of it. *authorities*: how many CAs are configured. *tries* and *quick_tries*: how many times the present
    step was repeated at once, and how many times it may be. *stopping*: the process is to end."""

    row: Enrolment
    order: OrderRecord | None
    asked: bool
    now: float
    policy: RenewalSettings
    authorities: int = 1
    tries: int = 0
    quick_tries: int = 0
    stopping: bool = False

    @property
    def left(self) -> Remaining | None:
        """The rest of the present certificate's life; None without one."""
        return remaining(self.row, int(self.now))

    @property
    def another(self) -> bool:
        """May another CA be asked, which may accept it?"""
        return self.authorities > 1 and _is_needed(self.left)

    @property
    def soon(self) -> float:
        """The moment until which a hold is waited for rather than that another CA is asked."""
        return self.now + self.policy.retry[0]

    @property
    def kept_until(self) -> int:
        """The moment until which the order is gone on with where it is interrupted; 0 without one."""
        if self.order is None:
            return 0
        left, leaf = self.left, self.row.present
        life = leaf.ends - leaf.starts if isinstance(leaf, Leaf) else None
        return self.order.kept_until(hurry=left is not None and left.little, life=life)


@dataclass(frozen=True, slots=True)
class Consequence:
    """*outcome*: how the attempt ends, or when it repeats the step. *held*: the scope for which the CA is not asked
    again before *until* (epoch seconds); "" for none."""

    outcome: Ended | Waiting
    fate: Fate
    held: str = ""
    until: int = 0


def consequence(error: CertfleetError, met: Circumstances) -> Consequence:
    """The meaning of *error*, met under these circumstances: how the attempt ends or waits, and what becomes of the
    order."""
    name = met.row.name
    if isinstance(error, LeaseLost):
        return Consequence(Ended(name, Ending.ELSEWHERE), Fate.ELSEWHERE)
    if isinstance(error, GivenUp):
        return Consequence(Ended(name, Ending.GIVEN_UP, failure=Failure.of(error)), Fate.ENDED_BEFORE)
    if isinstance(error, Overtaken):
        return Consequence(Ended(name, Ending.NOT_DUE, str(error)), Fate.ENDED_BEFORE)
    if isinstance(error, NotSealed):  # nothing is saved in the row: it is good again once it is put right
        lives = Fate.FORGOTTEN if met.order is None else Fate.GOES_ON
        return Consequence(Ended(name, Ending.UNSEALED, failure=Failure.of(error), by_itself=False), lives)
    if isinstance(error, NotRegistered):
        return _waits_for_account(error, met)
    if holds_up(error) and met.order is not None:
        return _held(error, met)
    if interrupts(error) and met.stopping:  # no failure of the certificate: the next run asks again
        return Consequence(Ended(name, Ending.STOPPED), Fate.GOES_ON)
    if _may_be_a_blink(error) and met.tries < met.quick_tries:
        return Consequence(Waiting(met.now + _FIRST_PAUSE * 2**met.tries), Fate.GOES_ON)
    return _failed(error, met, _fate(error, met))


def interrupts(error: CertfleetError) -> bool:
    """Does the order live on? True when nobody refused it: no answer or an odd one, a server's own trouble, a limit,
    our database, files and configuration."""
    return error.retry is Retry.SOON or isinstance(error, ConfigError | FileError) or holds_up(error)


def holds_up(error: CertfleetError) -> TypeGuard[AcmeProblem]:
    """Did the CA name a moment before which it is not to be asked?"""
    return isinstance(error, AcmeProblem) and error.status in (_LIMITED, _BUSY) and error.retry_after is not None


def retry_moment(failures: int, now: int, schedule: tuple[int, ...], left: Remaining | None) -> int:
    """When to try again after the *failures*-th failure in a row (epoch seconds). The last waiting time repeats for
    ever. With little life left the waiting time is at most an eighth of it, so that many attempts still fit."""
    wait = schedule[min(failures, len(schedule)) - 1]
    if left is not None and left.little:
        wait = min(wait, max(60, left.seconds // 8, schedule[0]))
    return now + wait


def next_authority(
    row: Enrolment,
    authorities: Sequence[Authority],
    left: Remaining | None,
    held_until: Callable[[Authority], float],
    soon: float,
) -> Authority:
    """The one of *authorities*, in their configured order, that the next attempt asks. In need one that is held beyond
    the moment *soon* is passed over (epoch seconds); where all are, the first to be free is asked."""
    index = authority_index(row, len(authorities), left)
    in_turn = [*authorities[index:], *authorities[:index]]
    if len(in_turn) < 2 or not _is_needed(left):
        return in_turn[0]
    free = (each for each in in_turn if held_until(each) <= soon)
    return next(free, None) or min(in_turn, key=held_until)


def authority_index(row: Enrolment, count: int, left: Remaining | None) -> int:
    """Which of *count* CAs, in their configured order, the next attempt asks. The first one. After two failures at the
    CA, in need, each in turn, the first included: it may be well again. A failure of our own DNS or database changes
    nothing: another CA would meet it too."""
    if count < 2 or row.failures < 2 or not _is_needed(left):
        return 0
    of_the_ca = row.failure is not None and row.failure.reference.startswith(("acme", WrongCertificate.reference))
    return (row.failures - 1) % count if of_the_ca else 0


def _is_needed(left: Remaining | None) -> bool:
    """Is a certificate needed so much that another CA may issue it: with little life left, or without one?"""
    return left is None or left.little


def falls_back(row: Enrolment, validation: Validation, policy: WebrootSettings) -> bool:
    """Is a name with this *validation* tried by dns-01 in the next attempt, although a file was meant? In every second
    attempt after a failure of files or of the CA's validation."""
    reference = row.failure.reference if row.failure is not None else ""
    validated = reference.startswith("webroot") or reference == "acme-unauthorized"
    return policy.fall_back_to_dns and validation.certbot and validated and row.failures % 2 == 1


def _held(error: AcmeProblem, met: Circumstances) -> Consequence:
    """Keep to the moment that the CA named, for the account or this certificate. It is no failure, unless that is later
    than the first retry and another CA may be asked meanwhile for a new order."""
    now, fate = int(met.now), _fate(error, met)
    scope = hold_scope(error, met.row.scope)
    until = min(max(int(error.retry_after or 0), now + 1), now + _longest_hold(scope, met.left))
    if met.row.changing and fate is Fate.GOES_ON and until > met.kept_until:
        fate = Fate.ENDS  # it would keep the renewal of the present certificate waiting for as long
    if met.another and until > met.soon and (fate is not Fate.GOES_ON or _is_planned(met)):
        return replace(_failed_meanwhile(error, met, fate, until), held=scope, until=until)
    failure = Failure.of(error, hint="")  # its own hint is about failures; a hold needs no action
    urgent = is_overdue(met.row, until, met.policy)
    held = Ended.held(met.row.name, until, failure, by_itself=_by_itself(fate, met), urgent=urgent)
    return Consequence(held, fate, scope, until)


def _is_planned(met: Circumstances) -> bool:
    return met.order is not None and met.order.state is OrderState.PLANNED


def _waits_for_account(error: NotRegistered, met: Circumstances) -> Consequence:
    fate = _fate(error, met)
    if met.another and error.until > met.soon:
        return _failed_meanwhile(error, met, fate, error.until)
    by, urgent = "the refusal of our account", is_overdue(met.row, error.until, met.policy)
    by_itself = _by_itself(fate, met)
    held = Ended.held(met.row.name, error.until, Failure.of(error), by_itself=by_itself, by=by, urgent=urgent)
    return Consequence(held, fate)


def _failed_meanwhile(error: CertfleetError, met: Circumstances, fate: Fate, until: int) -> Consequence:
    """A failure after which another CA is asked, or this one again at the moment *until* (epoch seconds)."""
    failed = _failed(error, met, fate, _MEANWHILE)
    assert isinstance(failed.outcome, Ended)  # noqa: S101 - a failure is one
    return replace(failed, outcome=replace(failed.outcome, retry_at=min(failed.outcome.retry_at, until)))


def _longest_hold(scope: str, left: Remaining | None) -> int:
    """How long the CA is believed, in seconds. A hold on the account lasts a day at most, and is never shortened for
    one certificate. A hold on a name lasts a week at most. It ends when little life is left, but a day may always pass;
    with little life left already it lasts an eighth of that."""
    if scope == ACCOUNT:
        return LONGEST_HOLD
    if left is None:
        return LONGEST_HOLD_ON_NAME
    if left.little:
        return max(60, left.seconds // 8)
    return min(LONGEST_HOLD_ON_NAME, max(LONGEST_HOLD, left.before_little))


def _failed(error: CertfleetError, met: Circumstances, fate: Fate, hint: str = "") -> Consequence:
    """One failure more, with that *hint* or the error's own. A failure that only a person can mend is tried again once
    a day, however little life is left."""
    now, left, schedule, failures = int(met.now), met.left, met.policy.retry, met.row.failures + 1
    costs = isinstance(error, WrongCertificate)
    hopeless = costs or (error.retry is Retry.NEVER and not met.another)
    rarely = max(schedule[-1], _DAY) if costs else schedule[-1]
    at = now + rarely if hopeless else retry_moment(failures, now, schedule, left)
    if fate is Fate.GOES_ON and now < met.kept_until:
        at = min(at, met.kept_until)  # no later: it ends then, and makes room for another
    by_itself, hints = _by_itself(fate, met), [hint or error.hint]
    if not by_itself:
        hints.append(NOT_AGAIN)
    elif hopeless:
        again = "run --retry" if isinstance(error, AcmeProblem) and error.resource == "newAccount" else "issue NAME"
        hints.append(f"tried every {duration_text(rarely)} only; `{again}` once it is mended")
    failure = Failure.of(error, hint="; ".join(filter(None, hints)))
    return Consequence(Ended(met.row.name, Ending.FAILED, "", at, failure, failures, by_itself), fate)


def _fate(error: CertfleetError, met: Circumstances) -> Fate:
    order = met.order
    if order is None:
        return Fate.FORGOTTEN
    lives = interrupts(error) and met.now < met.kept_until
    # the issuer that has the key goes on with it; once tries come once a day, there is no such issuer
    elsewhere = isinstance(error, OtherAccount) and met.row.failures < len(met.policy.retry)
    if not (lives or elsewhere):
        return Fate.ENDS
    return Fate.FORGOTTEN if _is_planned(met) and not met.asked else Fate.GOES_ON


def _by_itself(fate: Fate, met: Circumstances) -> bool:
    """Is there a next attempt without a person asking for it?"""
    return met.row.enabled or fate is Fate.GOES_ON


def _may_be_a_blink(error: CertfleetError) -> bool:
    """Is it worth a few more tries at once? Not for a limit or a file; the store has repeated its own already."""
    limited = isinstance(error, AcmeProblem) and (error.kind == "rateLimited" or error.status == _LIMITED)
    return error.retry is Retry.SOON and not limited and not isinstance(error, StoreError)
