"""How a certificate that is in place stands at a moment: the life left, and the reason to trust it. Pure."""

from shlex import quote

from agent.model.result import Installed, Outcome, Result
from agent.rules.window import ONE_RETRY
from common.clock import utc_text
from common.dataclasses import replace

_SMALLEST_PART = 6  # a sixth of the life: the issuer renews at a third (at half of a short one), a day of ours is added
_LONGEST_WARNING = 30 * 86400  # seconds: a certificate of years is not bought half a year ahead
_IN_DOUBT = {Outcome.UNPROVEN, Outcome.INCOMPLETE}
_IN_PLACE = {Outcome.INSTALLED, Outcome.UNPROVABLE, Outcome.ENDING, *_IN_DOUBT}
_BY_ISSUER = "no trusted root vouches for it: it was taken because the CA is that of the one before"
_RELEASE = "`certfleet-agent release {name}` lets this host take a newer one again"
_ENABLE = "`certfleet-issuer enable {name}` lets the issuer renew it"
_NEWER = "see `certfleet-issuer status {name}`: the next one is overdue there; it is taken when it comes"
ROOTS_HINT = "if the CA is your own, name its root in agent.toml ([trust] roots); else update the system's store"


def standing(result: Result, now: float) -> Result:
    """*result* as it stands at *now* (epoch seconds), be it new or on record: the certificate in place may have ended,
    or end soon while nothing newer is there to take. One that waits for its window counts as there to take: it
    opens before that end."""
    installed = result.installed
    if installed is None or result.outcome not in _IN_PLACE:
        return result
    end, is_kept_from = utc_text(installed.not_after), result.is_kept_from_newer
    newer = "nothing newer is in place" if is_kept_from else "nothing newer has come"
    if installed.not_after <= now:
        outcome, problem = Outcome.EXPIRED, f"it expired at {end}, and {newer}"
    elif result.outcome not in _IN_DOUBT and not waits_for_window(result, now) and has_little_left(installed, now):
        outcome, problem = Outcome.ENDING, f"it ends at {end}, which is soon for its life, and {newer}"
    elif result.outcome.is_well and installed.by_issuer:
        return replace(result, detail=_BY_ISSUER, hint=ROOTS_HINT)
    else:
        return result
    doubt = f"; {result.detail}" if result.outcome in _IN_DOUBT else ""
    return replace(result, outcome=outcome, detail=problem + doubt, hint=ending_hint(result))


def ending_hint(result: Result) -> str:
    """The way to a newer certificate, where the one of *result* ends soon or has ended."""
    words = _RELEASE if result.is_kept_from_newer else _ENABLE if result.disabled else _NEWER
    return words.format(name=quote(result.name))


def waits_for_window(result: Result, now: float) -> bool:
    """Does a newer one wait for its window, and has no run missed that yet?"""
    wait, installed = result.postponed, result.installed
    if wait is None or installed is None:
        return False
    return wait.serial != installed.serial and now < wait.opens + ONE_RETRY


def before_the_first(result: Result, life: tuple[int, int] | None, now: float) -> Result:
    """*result*, by which nothing is installed here yet because of a pause, as it stands at *now*: what another client
    has left in the live files may have ended, or end soon. *life*: its begin and end; None where nothing is there."""
    if life is None or not little_left(*life, now):
        return result
    outcome, when = (Outcome.EXPIRED, "expired") if life[1] <= now else (Outcome.ENDING, "ends")
    detail = f"the certificate in the live files {when} at {utc_text(life[1])}, and nothing newer is taken"
    return replace(result, outcome=outcome, detail=detail, hint=_RELEASE.format(name=quote(result.name)))


def has_little_left(installed: Installed, now: float) -> bool:
    """As `little_left`; False where an earlier agent did not keep when it began."""
    return bool(installed.not_before) and little_left(installed.not_before, installed.not_after, now)


def little_left(not_before: int, not_after: int, now: float) -> bool:
    """Is less than a sixth of a life left, and less than 30 days? Epoch seconds."""
    return not_after - now < min((not_after - not_before) / _SMALLEST_PART, _LONGEST_WARNING)
