"""When is a certificate to be renewed, and is that moment here? Pure: row and moment in, decision and reason out."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from common.certificate import dns_names, not_after, not_before, parse_bundle, spki_sha256
from issuer.model.config import RenewalSettings
from issuer.model.enrolment import Enrolment
from issuer.model.events import Event
from issuer.model.limits import LONGEST_HOLD
from issuer.model.orders import Cause
from issuer.rules.imported import news, next_look, runs_out
from issuer.rules.renewal_info import LATEST

_DAY = 86400
_SHORT_LIFE = 10 * _DAY
FIRST_MAY_WAIT = 7 * _DAY  # the span of the longest limit that CAs publish: first certificates of a large fleet queue
_JITTER = 0.02  # of the lifetime


@dataclass(frozen=True, slots=True)
class Due:
    """To be issued now, and why."""

    name: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class NotDue:
    """Not before *until* (epoch seconds); None: not by itself at all."""

    name: str
    until: int | None
    reason: str
    news: Event | None = None  # what people are to hear about the certificate before it is left alone


@dataclass(frozen=True, slots=True)
class Consult:
    """The CA's renewal information is to be asked first (RFC 9773); then plan again."""

    name: str


def plan(
    row: Enrolment, now: int, policy: RenewalSettings, *, consulted: bool = False, resumes: bool = False
) -> Due | NotDue | Consult:
    """Decide for one row. A moment saved in the row (a retry, a renewal) is kept if it can be meant; else, and without
    one, it is worked out. *resumes*: an order of it is out, which is gone on with although the row is disabled."""
    if resumes and not row.enabled:
        return _waiting(row) if put_off(row, now, policy) else Due(row.name, Cause.UNDER_WAY)
    if row.imported:
        return _watched(row, now, policy)
    if row.reissue_reason:
        return _waiting(row) if put_off(row, now, policy) else Due(row.name, Cause.WISH)
    if not row.enabled:
        return NotDue(row.name, None, "disabled")
    if put_off(row, now, policy):
        return _waiting(row)
    if not row.crt:
        return Due(row.name, Cause.FIRST)
    try:
        leaf = parse_bundle(row.crt).leaf
    except ValueError:
        return Due(row.name, Cause.DAMAGED)
    starts, ends = not_before(leaf), not_after(leaf)
    if not consulted and ends > now and _to_be_consulted(row, now):
        return Consult(row.name)
    return _by_moment(row, starts, ends, now, policy)


def put_off(row: Enrolment, now: int, policy: RenewalSettings) -> bool:
    """Is the row's moment still to come, and can it be meant? A clock that was years ahead once, here or at another
    issuer, left moments that would stop renewals for years."""
    if row.due_at is None or row.due_at <= now:
        return False
    if row.due_at <= now + max(LONGEST_HOLD, *policy.retry):
        return True
    if row.failing or row.reissue_reason:
        return False
    if not row.crt:
        return row.due_at <= now + FIRST_MAY_WAIT
    try:
        leaf = parse_bundle(row.crt).leaf
    except ValueError:
        return False
    return row.due_at <= renewal(row, not_before(leaf), not_after(leaf), policy).at


def _to_be_consulted(row: Enrolment, now: int) -> bool:
    if row.ari_ask_at is not None:
        return not now < row.ari_ask_at <= now + LATEST
    return not row.directory  # an adopted certificate: nobody has asked yet whether its CA has information


def _by_moment(row: Enrolment, starts: int, ends: int, now: int, policy: RenewalSettings) -> Due | NotDue:
    moment = renewal(row, starts, ends, policy).at
    if moment <= now:
        if ends <= now:
            return Due(row.name, Cause.EXPIRED)
        ours = renewal_moment(row.name, starts, ends, policy)
        if row.ari_at is None or row.ari_at > now:
            return Due(row.name, Cause.RENEWAL)
        return Due(row.name, Cause.INCIDENT if now < ours and _window_end(row) <= now else Cause.SUGGESTED)
    until = moment if row.ari_ask_at is None else min(moment, max(row.ari_ask_at, now + 1))
    return NotDue(row.name, until, "valid")


@dataclass(frozen=True, slots=True)
class Renewal:
    """When a certificate is to be renewed (epoch seconds), and by which rule."""

    at: int
    why: str


def renewal(row: Enrolment, starts: int, ends: int, policy: RenewalSettings) -> Renewal:
    """The CA's window if it told one, else the fraction that is left; ``days_left`` can only make either earlier."""
    rules = [_by_fraction(row.name, starts, ends, policy)]
    if row.ari_at is not None:
        # the CA's word counts, but not until the last hour: near the end we renew whatever it says
        late = Renewal(ends - (ends - starts) // 20, "5 % of its lifetime left, whatever the CA says")
        rules = [Renewal(row.ari_at, "the window that the CA suggests (ARI)"), late]
    return min([*rules, *_by_days(row.name, starts, ends, policy)], key=lambda renewal: renewal.at)


def _window_end(row: Enrolment) -> int:
    return row.ari_window[1] if row.ari_window else 0  # none, or one that could not be read: it has passed


def urgency(row: Enrolment, now: int) -> tuple[bool, int]:
    """To sort by: those whose window of the CA has passed (an incident, as a rule), then those that expire first."""
    return row.ari_at is None or _window_end(row) > now, row.ts_expire


def renewal_moment(name: str, starts: int, ends: int, policy: RenewalSettings) -> int:
    """Epoch seconds at which a certificate that lives from *starts* to *ends* is to be renewed, if it is left to us."""
    rules = [_by_fraction(name, starts, ends, policy), *_by_days(name, starts, ends, policy)]
    return min(rule.at for rule in rules)


def _by_fraction(name: str, starts: int, ends: int, policy: RenewalSettings) -> Renewal:
    """A fraction of the lifetime is left then, half of it for lives below ten days."""
    life = max(1, ends - starts)
    fraction = max(policy.fraction_left, 0.5) if life < _SHORT_LIFE else policy.fraction_left
    why = f"{100 * fraction:.3g} % of its lifetime left (fraction_left)"
    return Renewal(_spread(name, starts, ends, ends - int(life * fraction)), why)


def _by_days(name: str, starts: int, ends: int, policy: RenewalSettings) -> list[Renewal]:
    """None where no ``days_left`` is set."""
    days = policy.days_left
    return [Renewal(_spread(name, starts, ends, ends - days * _DAY), f"days_left = {days}")] if days else []


def _spread(name: str, starts: int, ends: int, moment: int) -> int:
    """*moment*, with jitter: the same for each run, it moves it earlier by up to 2 % of the life, so that a fleet
    enrolled on one day is not renewed in one hour. A tenth of the life always passes first, or a short-lived
    certificate would be renewed at every run.
    """
    life = max(1, ends - starts)
    seed = int.from_bytes(hashlib.sha256(f"{name} {ends}".encode()).digest()[:4], "big") / 2**32
    return max(moment - int(life * _JITTER * seed), starts + life // 10)


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is left of the present certificate's life: seconds, and the fraction of the whole."""

    seconds: int
    fraction: float

    @property
    def little(self) -> bool:
        """Less than an eighth: time to hurry."""
        return self.fraction < 1 / 8


def remaining(row: Enrolment, now: int) -> Remaining | None:
    """None while there is no certificate that could run out."""
    try:
        leaf = parse_bundle(row.crt).leaf
    except ValueError:
        return None
    left = not_after(leaf) - now
    return Remaining(left, left / max(1, not_after(leaf) - not_before(leaf)))


def renews(row: Enrolment, names: Sequence[str], directory: str) -> bool:
    """Did the CA with that directory issue the present certificate, for just these names?"""
    try:
        return row.directory == directory and dns_names(parse_bundle(row.crt).leaf) == set(names)
    except ValueError:
        return False


def _watched(row: Enrolment, now: int, policy: RenewalSettings) -> NotDue:
    """An imported certificate is only looked at, at the moments at which there is something to tell."""
    if not row.enabled:
        return NotDue(row.name, None, "disabled")
    if row.due_at is not None and row.due_at > now:
        return NotDue(row.name, row.due_at, "imported")
    return NotDue(row.name, next_look(row, now, policy), "imported", news(row, now, policy))


def _waiting(row: Enrolment) -> NotDue:
    return NotDue(row.name, row.due_at, "waiting to try again" if row.failures else "valid")


def health(row: Enrolment, now: int, policy: RenewalSettings, *, held: bool = False) -> tuple[str, bool]:
    """(state for people, is it well?). A disabled certificate is well: nobody asked us to keep it fresh. Not so
    one that is good in the hands of others, because they know its key.

    *held*: its next attempt waits for a moment that the CA named.
    """
    if row.crt and row.ts_expire <= now:
        state = "expired"
    elif row.revoked:
        state = "revoked"
    elif _known_to_others(row):
        state = "key compromised"
    elif row.failing:
        state = "stuck" if row.failures >= policy.give_up_alarm else "failing"
    elif runs_out(row, now, policy):
        state = "ends soon"
    elif held:
        state = "held"
    elif not row.crt:
        state = "waiting for its first certificate"
    else:
        state = "valid"
    well = state in ("valid", "waiting for its first certificate") or not (row.enabled or state == "key compromised")
    if not row.enabled:
        state = f"disabled, {state}" if state in ("expired", "revoked", "key compromised") else "disabled"
    return (f"{state}, rolled back" if row.rolled_back else state), well


def _known_to_others(row: Enrolment) -> bool:
    """Is the key of the present certificate one that was revoked as compromised?"""
    try:
        return bool(row.compromised) and spki_sha256(parse_bundle(row.crt).leaf.public_key()) in row.compromised
    except ValueError:
        return False
