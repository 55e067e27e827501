"""Do runs come often enough for the lives of the certificates? Pure."""

from collections.abc import Sequence

from common.clock import duration_text
from issuer.model.config import RenewalSettings
from issuer.rules.renewal import renewal_moment
from issuer.rules.shared_failures import concerned

_DAILY = 86400  # seconds between two runs, until we know better: the timer that is shipped
_KNOWN = 4  # runs whose moments tell the schedule
_SAME = 1800  # seconds: a run so soon after another one was started by hand
_TRIES = 4  # runs that must fit between the renewal of a certificate and its end: one of them may fail
_SHORTEST_FRACTION = 0.5  # of a short life that is left at its renewal, if fraction_left is less


def remembered(runs: Sequence[int], now: int) -> list[int]:
    """The moments of the latest *runs* with the one of *now* (epoch seconds). A clock that was ahead is forgotten."""
    past = [moment for moment in runs if moment <= now]
    if past and now - past[-1] < _SAME:
        return past
    return [*past, now][-_KNOWN:]


def longest_pause(runs: Sequence[int], now: int) -> int | None:
    """The longest pause (seconds) between two of the latest *runs*; None until there are enough to tell a schedule."""
    if len(runs) < _KNOWN:
        return None
    return max(later - sooner for sooner, later in zip(runs, [*runs[1:], now], strict=True))


def longest_life(pause: int | None, policy: RenewalSettings) -> int:
    """The longest life (seconds) for which runs with such a *pause* can be too rare."""
    return int(_TRIES * (pause or _DAILY) / min(policy.fraction_left, _SHORTEST_FRACTION))


def too_slow(lives: Sequence[tuple[str, int]], pause: int | None, policy: RenewalSettings) -> str:
    """A sentence where a *pause* between runs is too long for certificates with such *lives* (name, seconds); "" where
    it is not."""
    every = pause or _DAILY
    missed = [(_left(life, policy), name, life) for name, life in lives if _left(life, policy) < _TRIES * every]
    if not missed:
        return ""
    left, _, life = min(missed)
    who = concerned(sorted(name for _, name, _ in missed))
    apart = f"up to {duration_text(every)} apart" if pause else "once a day, as far as is known"
    fits = "start `run` every hour, or use the daemon" if left >= _TRIES * 3600 else "use the daemon"
    lives_for = f"a life of {duration_text(life)}, renewed {duration_text(left)} before its end"
    return f"the schedule is too slow for {who}: {lives_for}, and runs come {apart}; {fits} (docs/daemon.md)"


def _left(life: int, policy: RenewalSettings) -> int:
    return life - renewal_moment("", 0, life, policy)
