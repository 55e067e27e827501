"""One cell of a row as what it is meant to be: SQLite keeps whatever an old script wrote, and a newer certfleet leaves
what this one does not know. That stops nothing but the row itself.
"""

import functools
from enum import Enum
from typing import Any, TypeVar

import structlog

K = TypeVar("K", bound=Enum)
log = structlog.get_logger()
_MOST_SAID = 1000


def number(value: Any) -> int | None:
    """What is no number is as good as NULL."""
    try:
        return None if value is None else int(value)
    except (ValueError, OverflowError):
        return None


def octets(value: Any) -> bytes:
    """A legacy table may hold text where a blob is meant."""
    return value.encode() if isinstance(value, str) else bytes(value or b"")


def known(kinds: type[K], value: Any, table: str, row: Any) -> K | None:
    """*value* as one of *kinds*; None, with a warning, for one that only another version knows."""
    try:
        return kinds(value)
    except ValueError:
        _skipped(table, str(row), str(value))
        return None


@functools.lru_cache(_MOST_SAID)  # said once: the daemon looks every few seconds
def _skipped(table: str, row: str, value: str) -> None:
    hint = "upgrade this certfleet if a newer one wrote it; else mend or delete that row"
    log.warning("row.skipped", table=table, row=row, unknown=value, hint=hint)
