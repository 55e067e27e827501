"""Is a certificate to be renewed now, and if not, when is it looked at again? Pure."""

from dataclasses import dataclass

from issuer.model.config import RenewalSettings
from issuer.model.enrolment import Enrolment
from issuer.model.events import Event, given_up, not_renewed, recovered
from issuer.model.leaf import Damaged, Leaf
from issuer.model.limits import LONGEST_HOLD
from issuer.model.moments import believable
from issuer.model.orders import Cause
from issuer.rules.approval import offered_at
from issuer.rules.imported import news, next_look
from issuer.rules.renewal import LATEST, by_window, is_overdue, renewal, renewal_moment, window_end

FIRST_MAY_WAIT = 7 * 86400  # seconds: the span of the longest published limit, for which a large fleet queues

FORCED = "ts_expire was set into the past, by hand or by an old script"
GIVEN_UP = "it expired longer ago than give_up_after, so it is not tried any more; `issue` tries it"
WAITS = "its next certificate comes from another CA and waits for approval"
MISFIT = "the present certificate is for another key than that of its CSR"


@dataclass(frozen=True, slots=True)
class Due:
    """To be issued now, and why."""

    name: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class NotDue:
    """Not before *until* (epoch seconds); None: not by itself at all. *news*: an event that people are to hear. *over*:
    what failed is not wanted any more, as where the CA has taken an early window back, or another issuer has done it.
    """

    name: str
    until: int | None
    reason: str
    news: Event | None = None
    over: bool = False


@dataclass(frozen=True, slots=True)
class Consult:
    """Ask for the CA's renewal information first (RFC 9773), then decide again."""

    name: str


def decide(
    row: Enrolment, now: int, policy: RenewalSettings, *, consulted: bool = False, resumes: bool = False
) -> Due | NotDue | Consult:
    """Decide for one row. A moment saved in the row (a retry, a renewal) is kept if it is believable; else it is worked
    out. *consulted*: the CA was asked for renewal information. *resumes*: an order is under way, so it goes on even
    where the row is disabled."""
    if resumes and not row.enabled:
        return _waiting(row) if still_waits(row, now, policy) else Due(row.name, Cause.UNDER_WAY)
    if row.changing:
        return _of_change(row, now, policy)
    if row.imported:
        return _watched(row, now, policy)
    if row.reissue_reason:
        return _waiting(row) if still_waits(row, now, policy) else Due(row.name, Cause.WISH)
    if not row.enabled:
        return _disabled(row, now, policy)
    offered = None if resumes else offered_at(row, policy)
    if offered is not None:
        return NotDue(row.name, offered, WAITS) if now < offered else Due(row.name, Cause.APPROVAL)
    if not resumes and is_given_up(row, now, policy):
        return NotDue(row.name, now + LONGEST_HOLD, GIVEN_UP, given_up(row.name))
    if still_waits(row, now, policy):
        return _waiting(row)
    return _of_present(row, now, policy, consulted=consulted)


def _of_present(row: Enrolment, now: int, policy: RenewalSettings, *, consulted: bool) -> Due | NotDue | Consult:
    leaf = row.present
    if leaf is None:
        return Due(row.name, Cause.FIRST)
    if isinstance(leaf, Damaged):
        return Due(row.name, Cause.DAMAGED)
    if spoilt(row):
        return Due(row.name, Cause.MISFIT)
    if forced(row, now):
        return Due(row.name, Cause.FORCED)
    if not consulted and leaf.ends > now and _to_be_consulted(row, now):
        return Consult(row.name)
    return _by_moment(row, leaf, now, policy)


def still_waits(row: Enrolment, now: int, policy: RenewalSettings) -> bool:
    """Is the row's moment still to come, and believable? A hold and a retry last a day at most. Only three kinds of
    row wait longer: a first certificate in a long queue, a certificate that is not to be renewed yet, and an imported
    one that is not to be taken over yet."""
    if (forced(row, now) or is_overdue(row, now, policy)) and not (row.failing or row.changing):
        return False  # the moment was saved before that wish, or by somebody who puts it off; a hold is met again
    if row.changing and (row.takeover_at or 0) > now:
        return True
    if believable(row.due_at, now, max(LONGEST_HOLD, *policy.retry)):
        return True
    if row.due_at is None or row.due_at <= now or row.failing or row.reissue_reason or row.changing:
        return False
    if not row.crt:
        return believable(row.due_at, now, FIRST_MAY_WAIT)
    if row.life is None or spoilt(row):
        return False
    return believable(row.due_at, now, renewal(row, *row.life, policy).at - now)


def is_given_up(row: Enrolment, now: int, policy: RenewalSettings) -> bool:
    """Did its certificate end so long ago that it is not tried any more?"""
    after = policy.give_up_after
    return after > 0 and row.life is not None and not row.changing and row.life[1] + after <= now


def look_when_held(until: int, now: int) -> int:
    """The moment to save in a row that a hold of the CA keeps back until then. It is a day ahead at most: one that is
    further ahead would pass for a moment that a wrong clock left."""
    return min(until, now + LONGEST_HOLD)


def forced(row: Enrolment, now: int) -> bool:
    """Does ``ts_expire`` lie in the past beside a certificate that is good? The operators of the classic system force a
    renewal that way. A value that differs from the certificate's end and is still to come says nothing."""
    if row.ts_expire is None or row.ts_expire > now:
        return False
    return row.own_end > now


def spoilt(row: Enrolment) -> bool:
    """Did somebody put another certificate in the place of ours? An adopted row may hold the CSR of a key that its host
    is to take with the next renewal."""
    return row.is_misfit and bool(row.directory)


def _of_change(row: Enrolment, now: int, policy: RenewalSettings) -> Due | NotDue:
    if not (row.enabled or row.reissue_reason):
        return _disabled(row, now, policy)
    return _waiting(row) if still_waits(row, now, policy) else Due(row.name, Cause.CHANGE)


def _to_be_consulted(row: Enrolment, now: int) -> bool:
    if row.ari_ask_at is not None:
        return not believable(row.ari_ask_at, now, LATEST)
    return not row.directory  # an adopted certificate, whose CA was never asked


def _by_moment(row: Enrolment, leaf: Leaf, now: int, policy: RenewalSettings) -> Due | NotDue:
    moment = renewal(row, leaf.starts, leaf.ends, policy).at
    if moment <= now:
        return Due(row.name, _cause(row, leaf, now, policy))
    until = moment if row.ari_ask_at is None else min(moment, max(row.ari_ask_at, now + 1))
    return NotDue(row.name, until, "valid", recovered(row.name) if row.failing else None, over=row.failing)


def _cause(row: Enrolment, leaf: Leaf, now: int, policy: RenewalSettings) -> Cause:
    if leaf.ends <= now:
        return Cause.EXPIRED
    suggested = by_window(row, leaf.starts, leaf.ends)
    if suggested is None or suggested.at > now:
        return Cause.RENEWAL
    ours = renewal_moment(row.name, leaf.starts, leaf.ends, policy)
    passed = window_end(row) <= min(now, leaf.halfway)  # later ones are planned, and pass between two runs
    return Cause.INCIDENT if now < ours and passed else Cause.SUGGESTED


def urgency(row: Enrolment, now: int) -> tuple[bool, bool, int]:
    """A sort key: first the certificates that are revoked, then those whose window of the CA has passed (an incident,
    as a rule), then those that expire first."""
    return not row.is_revoked, row.ari_at is None or window_end(row) > now, row.ends


def _watched(row: Enrolment, now: int, policy: RenewalSettings) -> NotDue:
    """An imported certificate is only looked at, whenever there is something to tell."""
    if not row.enabled:
        return _disabled(row, now, policy)
    until = next_look(row, now, policy)
    if row.due_at is not None and now < row.due_at <= until:
        return NotDue(row.name, row.due_at, "imported")
    return NotDue(row.name, until, "imported", news(row, now, policy))


def _disabled(row: Enrolment, now: int, policy: RenewalSettings) -> NotDue:
    """Nobody renews it. At the moment of its renewal people hear of that: somebody may have disabled it past us."""
    leaf = row.present
    if isinstance(leaf, Leaf) and now < (moment := renewal_moment(row.name, leaf.starts, leaf.ends, policy)):
        return NotDue(row.name, moment, "disabled")
    return NotDue(row.name, None, "disabled", not_renewed(row.name))


def _waiting(row: Enrolment) -> NotDue:
    return NotDue(row.name, row.due_at, "waiting to try again" if row.failures else "valid")
