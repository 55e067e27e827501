"""May a certificate be installed now, or does it wait for its window? Pure.

A window is in the time of the host. Where clocks are put forward over its begin, it opens an hour later; where they are
put back, the first of the two equal hours counts.
"""

from datetime import date, datetime, time, timedelta, tzinfo

from agent.model.window import Window
from common.dataclasses import dataclass

ONE_RETRY = 86400  # seconds: a run a day is what hosts have at least


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening of a window, in epoch seconds."""

    begins: float
    ends: float


def opening(window: Window, now: float, zone: tzinfo | None = None) -> Opening:
    """The opening that is now, or else the next one. *zone*: None is the host's own time."""
    today = datetime.fromtimestamp(now, zone).date()
    days = (today + timedelta(days=number) for number in range(-1, 9))
    found = (_on(window, day, zone) for day in days if day.weekday() in window.days)
    return next(one for one in found if one.ends > now)


def waits_for(window: Window, now: float, ends: float | None, zone: tzinfo | None = None) -> Opening | None:
    """The opening that an install waits for; None if it may be now. It may where what is in place *ends* before that
    opening is over and one retry has passed; None for *ends*: nothing is in place."""
    found = opening(window, now, zone)
    is_urgent = ends is not None and ends < found.ends + ONE_RETRY
    return None if found.begins <= now or is_urgent else found


def _on(window: Window, day: date, zone: tzinfo | None) -> Opening:
    begins = _moment(day, window.begins, zone)
    is_over_midnight = window.ends <= window.begins
    ends = _moment(day + timedelta(days=is_over_midnight), window.ends, zone)
    if ends <= begins:  # it opens late, and would be over before
        ends = begins + (window.ends - window.begins) % 1440 * 60
    return Opening(begins, ends)


def _moment(day: date, minutes: int, zone: tzinfo | None) -> float:
    midnight = datetime.combine(day, time(), zone)  # its arithmetic is that of a clock on the wall
    return (midnight + timedelta(minutes=minutes)).timestamp()
