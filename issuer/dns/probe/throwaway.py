"""The throw-away TXT values of `check`: how they are made, and which of them a killed check has left. Pure."""

import re
import secrets
from collections.abc import Iterable

_FORM = re.compile(r"certfleet-check-(\d{1,12})-[0-9a-f]{16}")
_STALE_SECONDS = 900  # no check takes that long


def new_value(now: float) -> str:
    """A value that nobody else makes; it holds its moment *now* (epoch seconds)."""
    return f"certfleet-check-{int(now)}-{secrets.token_hex(8)}"


def stale(values: Iterable[str], now: float) -> list[str]:
    """The *values* that a killed check left."""
    found = [(value, _FORM.fullmatch(value)) for value in values]
    return sorted(value for value, form in found if form and not -60 < now - int(form[1]) < _STALE_SECONDS)
