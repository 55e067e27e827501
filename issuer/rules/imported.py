"""Imported certificates: they are renewed where they were bought, so people are told before they end. Pure."""

from shlex import quote

from common.clock import utc_text
from issuer.model.config import RenewalSettings
from issuer.model.enrolment import Enrolment
from issuer.model.events import Event, EventKind, ends
from issuer.model.leaf import Leaf

_DAY = 86400
_LONGEST_NOTICE = 30 * _DAY  # a third of a bought year would be four months of warnings
_WORSE = {EventKind.ENDS_TODAY: _DAY, EventKind.ENDS_THIS_WEEK: 7 * _DAY}  # seconds left, the worst first
_AGAIN = 7 * _DAY  # between two looks at one that has expired


def runs_out(row: Enrolment, now: int, policy: RenewalSettings) -> bool:
    """Is it an imported certificate whose end is near enough at *now* (epoch seconds) to be told?"""
    return row.imported and row.ends - now <= _notice(row, policy)


def news(row: Enrolment, now: int, policy: RenewalSettings) -> Event | None:
    """The event to tell about *row* now; None where there is nothing to tell."""
    if not row.enabled or not runs_out(row, now, policy):
        return None
    left = row.ends - now
    kind = next((kind for kind, bound in _WORSE.items() if left <= bound), EventKind.ENDS_SOON)
    return ends(kind, row.name, how_to_renew(row))


def next_look(row: Enrolment, now: int, policy: RenewalSettings) -> int:
    """When :func:`news` will say something else (epoch seconds)."""
    notice = _notice(row, policy)
    bounds = (notice, *(bound for bound in _WORSE.values() if bound < notice), 0)
    return min((row.ends - bound for bound in bounds if row.ends - bound > now), default=now + _AGAIN)


def sentence(row: Enrolment) -> str:
    """The end of an imported certificate and what to do, for people."""
    return f"imported, valid until {utc_text(row.ends)}; {how_to_renew(row)}"


def how_to_renew(row: Enrolment) -> str:
    """The way for a person to replace an imported certificate: the note of the row, then the command."""
    how = row.watch.renewal_note or "renew it where it was bought"
    return f"{how}, then `certfleet-issuer import {quote(row.name)} --crt FILE`"


def _notice(row: Enrolment, policy: RenewalSettings) -> int:
    """Seconds before its end: as ACME certificates are renewed, 30 days at most unless days_left is more."""
    leaf = row.present
    if not isinstance(leaf, Leaf):
        return _LONGEST_NOTICE
    life = leaf.ends - leaf.starts
    wanted = max(policy.days_left * _DAY, min(int(life * policy.fraction_left), _LONGEST_NOTICE))
    return min(wanted, life - life // 10)  # a tenth of its life always passes without a notice
