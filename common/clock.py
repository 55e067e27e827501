"""Time as certfleet keeps it: seconds since the epoch, UTC; shown to people as ISO 8601."""

import re
import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Returns the current time in seconds since the epoch. A parameter everywhere, so that rules never read the clock."""

_LAST_SECOND = 253_402_300_799  # of the year 9999
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def utc_text(epoch: float) -> str:
    """2026-11-21T03:14:15Z for a moment in epoch seconds."""
    sane = int(min(max(epoch, 0), _LAST_SECOND))  # a database or a CA may name absurd moments
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(sane))


def parse_duration(text: str) -> int:
    """Seconds of "90s", "10m", "1h" or "3d". Raises ValueError with a sentence."""
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if match is None:
        raise ValueError(f'{text!r} is not a duration: write a whole number and s, m, h or d, like "90s" or "1h"')
    return int(match[1]) * _UNITS[match[2]]


def duration_text(seconds: float) -> str:
    """A length of time for people: "45s", "12m", "3h 20m", "61d"."""
    whole = max(0, round(seconds))
    if whole < 100:
        return f"{whole}s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 100:
        return f"{minutes}m"
    if hours < 48:
        rest = minutes % 60
        return f"{hours}h {rest}m" if rest else f"{hours}h"
    return f"{days}d"
