"""One cell of a row as what it is meant to be, whichever query reads it: SQLite keeps whatever an old script wrote, and
a newer certfleet leaves what this one does not know. That stops nothing but the row itself.
"""

import functools
import re
from enum import Enum
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog

from issuer.model.moments import CLOCKS_APART

K = TypeVar("K", bound=Enum)
log = structlog.get_logger()
_MOST_SAID = 1000


class Number(sa.TypeDecorator[int]):
    """A whole number; what is none is as good as NULL."""

    impl = sa.BigInteger
    cache_ok = True

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> int | None:
        try:
            return None if value is None else int(value)
        except (ValueError, OverflowError):
            return None


class Words(sa.TypeDecorator[str]):
    """Text; what is none is as good as NULL."""

    impl = sa.String
    cache_ok = True

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> str | None:
        return value if isinstance(value, str) else None


class Octets(sa.TypeDecorator[bytes]):
    """A blob, b"" for NULL; an old script may have left text or a number."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> bytes:
        return value if isinstance(value, bytes) else str(value or "").encode()


def believable(column: Any, now: Any, longest: Any) -> sa.ColumnElement[bool]:
    """As :func:`issuer.model.moments.believable`, of a column; NULL where that is NULL."""
    return sa.and_(column > now, sa.not_(too_far(column, now, longest)))


def too_far(column: Any, now: Any, longest: Any) -> sa.ColumnElement[bool]:
    """Is a moment further ahead than can be meant?"""
    ahead: sa.ColumnElement[bool] = column > now + longest + CLOCKS_APART
    return ahead


def window(start: int | None, end: int | None, left: str) -> tuple[int, int] | None:
    """A span of time from two columns; *left* is "START-END" where an earlier version has put it in one."""
    match = re.fullmatch(r"(-?[0-9]{1,18})-(-?[0-9]{1,18})", left)
    if match:
        return int(match[1]), int(match[2])
    return None if start is None or end is None else (start, end)


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
