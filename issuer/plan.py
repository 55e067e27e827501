"""When is a certificate to be renewed, and is that moment here? Pure: row and moment in, decision and reason out."""

import hashlib
from dataclasses import dataclass

from common.certificate import not_after, not_before, parse_bundle
from issuer.config import RenewalSettings
from issuer.model import Enrolment

_DAY = 86400
_SHORT_LIFE = 10 * _DAY
_JITTER = 0.02  # of the lifetime


@dataclass(frozen=True, slots=True)
class Due:
    """To be issued now, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class NotDue:
    """Not before *until* (epoch seconds); None: not by itself at all."""

    name: str
    until: int | None
    reason: str


def plan(row: Enrolment, now: int, policy: RenewalSettings) -> Due | NotDue:
    """Decide for one row. A moment saved in the row (a retry, a renewal) is kept; without one it is worked out."""
    if row.reissue_reason:
        return Due(row.name, row.reissue_reason) if row.due_at is None or row.due_at <= now else _waiting(row)
    if not row.enabled:
        return NotDue(row.name, None, "disabled")
    if row.due_at is not None and row.due_at > now:
        return _waiting(row)
    if not row.crt:
        return Due(row.name, "first certificate")
    try:
        leaf = parse_bundle(row.crt).leaf
    except ValueError:
        return Due(row.name, "the stored certificate cannot be parsed")
    moment = renewal_moment(row.name, not_before(leaf), not_after(leaf), policy)
    if moment <= now:
        return Due(row.name, "expired" if not_after(leaf) <= now else "renewal")
    return NotDue(row.name, moment, "valid")


def renewal_moment(name: str, starts: int, ends: int, policy: RenewalSettings) -> int:
    """Epoch seconds at which a certificate that lives from *starts* to *ends* is to be renewed.

    A fraction of the lifetime is left then, half of it for lives below ten days; ``days_left`` can only move the moment
    earlier. Jitter, the same for each run, moves it earlier by up to 2 % of the life, so that a fleet enrolled on one
    day is not renewed in one hour. A tenth of the life always passes first, or a short-lived certificate would be
    renewed at every run.
    """
    life = max(1, ends - starts)
    fraction = max(policy.fraction_left, 0.5) if life < _SHORT_LIFE else policy.fraction_left
    moment = ends - int(life * fraction)
    if policy.days_left:
        moment = min(moment, ends - policy.days_left * _DAY)
    seed = int.from_bytes(hashlib.sha256(f"{name} {ends}".encode()).digest()[:4], "big") / 2**32
    return max(moment - int(life * _JITTER * seed), starts + life // 10)


def retry_moment(failures: int, now: int, schedule: tuple[int, ...]) -> int:
    """Epoch seconds of the attempt after the *failures*-th failure in a row; the last waiting time repeats for ever."""
    return now + schedule[min(failures, len(schedule)) - 1]


def _waiting(row: Enrolment) -> NotDue:
    return NotDue(row.name, row.due_at, "waiting to try again" if row.failures else "valid")


def health(row: Enrolment, now: int, stuck_after: int) -> tuple[str, bool]:
    """(state for people, is it well?). A disabled certificate is well: nobody asked us to keep it fresh."""
    if row.crt and row.ts_expire <= now:
        state = "expired"
    elif row.failures >= stuck_after:
        state = "stuck"
    elif row.failures:
        state = "failing"
    elif not row.crt:
        state = "waiting for its first certificate"
    else:
        state = "valid"
    if not row.enabled:
        return ("disabled" if state != "expired" else "disabled, expired"), True
    return state, state in ("valid", "waiting for its first certificate")
