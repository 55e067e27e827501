"""The next step of a certificate: when and why, for people. Pure.

The run decides with due.py. This tells the same from the same rules, and what is in the way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from common.clock import utc_text
from issuer.model.config import RenewalSettings
from issuer.model.enrolment import Enrolment
from issuer.model.limits import ACCOUNT, REGISTRATION, Hold
from issuer.rules.approval import offered_at
from issuer.rules.due import FORCED, GIVEN_UP, MISFIT, WAITS, forced, is_given_up, spoilt, still_waits
from issuer.rules.imported import how_to_renew
from issuer.rules.renewal import renewal


@dataclass(frozen=True, slots=True)
class Forecast:
    """The next attempt: its moment (epoch seconds; None: none by itself) and the reason."""

    at: int | None
    why: str


def forecast(row: Enrolment, now: int, policy: RenewalSettings, *, under_way: bool = False) -> Forecast:
    """When the next certificate will be asked for as things are now. A moment that has passed means the next run.
    *under_way*: an order is under way, so it goes on even where the row is disabled. Where a change waits, it is the
    sooner of the two attempts."""
    own, change = _own(row, now, policy, under_way=under_way), row.change
    if change is None or not (row.enabled or under_way):
        return own
    at = max(now, change.due_at, row.takeover_at or 0)
    if own.at is not None and own.at < at:
        return own
    why = f"retry after failure {change.failures}" if change.failing else "it waits for its first certificate"
    why = "it takes over, unless a newer certificate is imported before" if (row.takeover_at or 0) > now else why
    return Forecast(at, f"the new CSR: {why}")


def _own(row: Enrolment, now: int, policy: RenewalSettings, *, under_way: bool) -> Forecast:
    if row.imported:
        return Forecast(None, f"imported, so never renewed by ACME; {how_to_renew(row)}")
    if not (row.enabled or under_way):
        return Forecast(None, "disabled" + ("; `issue NAME` tries again" if row.reissue_reason else ""))
    offered = offered_at(row, policy)
    if offered is not None and row.enabled and not row.reissue_reason:
        return Forecast(offered, WAITS)
    if is_given_up(row, now, policy) and not row.reissue_reason:
        return Forecast(None, GIVEN_UP)
    coming = row.due_at if row.due_at is not None and still_waits(row, now, policy) else now
    if row.failing and row.due_at is not None:
        return Forecast(coming, f"retry after failure {row.failures}")
    if row.reissue_reason:
        return Forecast(coming, row.reissue_reason)
    if not row.enabled:
        return Forecast(coming, "disabled, but its order is under way")
    if not row.crt:
        return Forecast(coming, "first certificate")
    if row.life is None:
        return Forecast(now, "the stored certificate cannot be parsed")
    if spoilt(row):
        return Forecast(coming, MISFIT)
    if forced(row, now):
        return Forecast(coming, FORCED)
    wanted = renewal(row, *row.life, policy)
    if row.due_at is not None and waits_longer(row, now, policy):
        return Forecast(row.due_at, f"put off until then; wanted since {utc_text(wanted.at)}, at {wanted.why}")
    return Forecast(wanted.at, wanted.why)


def waits_longer(row: Enrolment, now: int, policy: RenewalSettings) -> bool:
    """Does it wait beyond the moment of its renewal, without a failure of its own?"""
    if (row.imported and not row.changing) or row.failing or row.due_at is None or row.due_at <= now:
        return False
    if row.changing:
        return True
    if row.waiting is not None:
        return False
    if row.reissue_reason or not row.enabled:
        return bool(row.reissue_reason)
    life = row.life
    return life is None or row.due_at > renewal(row, *life, policy).at


def hold_on(row: Enrolment, holds: Sequence[Hold], account: str, now: int, policy: RenewalSettings) -> Hold | None:
    """The hold that the next attempt of *row* meets, the longest one; None if it meets none. *account*: the one that
    would be asked; "" if that is not known, so any hold may be meant."""
    scopes = (ACCOUNT, REGISTRATION, row.scope[:190])
    concern = [hold for hold in holds if hold.scope in scopes and account in ("", hold.account)]
    wished = bool(row.reissue_reason) and not row.enabled  # only a person asked for it
    at = (now if wished else forecast(row, now, policy).at) if concern else None
    met = [hold for hold in concern if at is not None and at <= hold.until]
    return max(met, key=lambda hold: hold.until, default=None)
