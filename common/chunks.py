"""Long lists in pieces that a database, a host or the kernel takes at once. Pure."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """*items* in their order, *size* at a time; the last piece may be shorter."""
    rest = iter(items)
    while piece := list(islice(rest, size)):
        yield piece
