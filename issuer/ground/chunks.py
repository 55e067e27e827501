"""Long lists in pieces that a database or the kernel takes at once."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """*items* in their order, *size* at a time; the last piece may be shorter."""
    return (items[start : start + size] for start in range(0, len(items), size))
