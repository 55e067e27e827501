"""The moment in a line of a log. Pure."""

import contextlib
import re
from datetime import UTC, datetime, timedelta, tzinfo

_HALF_A_YEAR = timedelta(days=183)
_SECONDS = r"\d{1,2}:\d\d:\d\d(?P<part>\.\d{1,6})?"
_EPOCH = "epoch"
_FORMS = [  # each with its form for strptime; "" is ISO 8601
    (re.compile(rf"\d{{4}}-\d\d-\d\d[T ]{_SECONDS}\d*(Z|[+-]\d\d:?\d\d)?"), ""),
    (re.compile(rf"\d\d?-[A-Z][a-z]{{2}}-\d{{4}} {_SECONDS}"), "%d-%b-%Y %H:%M:%S"),  # BIND
    (re.compile(r"\d\d?/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}"), "%d/%b/%Y:%H:%M:%S %z"),  # web servers
    (re.compile(rf"[A-Z][a-z]{{2}} {{1,2}}\d{{1,2}} {_SECONDS}"), "%b %d %H:%M:%S"),  # syslog, RFC 3164
    (re.compile(r'"ts": ?(\d{9,11}(?:\.\d+)?)\b'), _EPOCH),  # Caddy's JSON
]


def moment_in(line: str, near: float, local: tzinfo | None = None) -> float | None:
    """The first moment in *line*, in epoch seconds; None without one. A moment without a zone is one of *local*, None
    for the zone of this machine. A moment without a year is the one that is closest to *near* (epoch seconds)."""
    found = [(match.start(), match, form) for pattern, form in _FORMS if (match := pattern.search(line))]
    if not found:
        return None
    _, match, form = min(found, key=lambda each: each[0])
    try:
        return float(match[1]) if form == _EPOCH else _moment(match, form, near, local)
    except (ValueError, OverflowError):
        return None


def _moment(match: re.Match[str], form: str, near: float, local: tzinfo | None) -> float:
    form += "" if match.groupdict().get("part") is None else ".%f"
    if form in ("", ".%f"):
        found = datetime.fromisoformat(match[0])
    elif "%Y" in form:
        found = datetime.strptime(match[0], form)  # noqa: DTZ007 - the zone comes below
    else:
        found = _closest(match[0], form, datetime.fromtimestamp(near, UTC).replace(tzinfo=None))
    if found.tzinfo:
        return found.timestamp()
    here = found.replace(tzinfo=local)  # an hour may come twice (PEP 495)
    return min((here.timestamp(), here.replace(fold=1).timestamp()), key=lambda moment: abs(moment - near))


def _closest(text: str, form: str, near: datetime) -> datetime:
    """The moment *text* of the year that brings it closest to *near*. Raises ValueError if none of them has that
    day."""
    for year in (near.year + 1, near.year, near.year - 1):
        with contextlib.suppress(ValueError):  # 29 February
            found = datetime.strptime(f"{year} {text}", f"%Y {form}")  # noqa: DTZ007 - the caller knows the zone
            if found - near < _HALF_A_YEAR:
                return found
    raise ValueError(text)
