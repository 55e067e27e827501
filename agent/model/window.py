"""The hours of a week in which a service may be touched, as agent.toml has them: ``Sat,Sun 02:00-04:00``."""

import re

from common.dataclasses import dataclass

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FORM = re.compile(r"(?:([A-Za-z, -]+) )?([0-2][0-9]):([0-5][0-9])-([0-2][0-9]):([0-5][0-9])")
_MINUTES = 1440  # of a day


@dataclass(frozen=True, slots=True)
class Window:
    """It opens on each of the *days* (0 is Monday) at *begins* and closes at *ends*, both minutes after midnight; on
    the next day where that is no later than *begins*. *text* is what people wrote."""

    text: str
    days: frozenset[int]
    begins: int
    ends: int


def parse_window(text: str) -> Window:
    """The window in "Sun 02:00-04:00", "Mon-Fri 22:00-05:00" or, for any day, "02:00-04:00". Raises ValueError with a
    sentence."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'must be like "Sun 02:00-04:00", "Sat,Sun 22:00-02:00" or "02:00-04:00", not {text[:80]!r}')
    begins, ends = int(match[2]) * 60 + int(match[3]), int(match[4]) * 60 + int(match[5])
    if begins >= _MINUTES or ends > _MINUTES:
        raise ValueError(f"must have hours from 00:00 to 24:00, not {text[:80]!r}")
    if begins == ends:
        raise ValueError(f"must not end when it begins, as {text[:80]!r} does; leave it out for any time")
    return Window(text.strip(), _days(match[1]) if match[1] else frozenset(range(7)), begins, ends)


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        begin, end = _day(first), _day(last if dash else first)
        found |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return frozenset(found)


def _day(word: str) -> int:
    if word.title() not in _DAYS:
        raise ValueError(f"must name days as {', '.join(_DAYS)}, not {word[:80]!r}")
    return _DAYS.index(word.title())
