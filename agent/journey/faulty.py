"""Files of many certificates are written together: one wait for the disk in place of hundreds."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from common.errors import FileError

T = TypeVar("T")


def faulty(write: Callable[[Sequence[T]], None], items: Sequence[T]) -> list[tuple[T, FileError]]:
    """Write all *items* at once; where that fails, one by one. Returns those that cannot be written, each with why."""
    if not items:
        return []
    try:
        write(items)
    except FileError as error:
        return [(items[0], error)] if len(items) == 1 else [one for item in items for one in faulty(write, [item])]
    return []
