"""Long lists in pieces that a database, a host or the kernel takes at once, and several lists in turn. Pure."""

from collections.abc import Iterable, Iterator
from itertools import islice, zip_longest
from typing import TypeVar

Item = TypeVar("Item")


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """*items* in their order, *size* at a time; the last piece may be shorter."""
    rest = iter(items)
    while piece := list(islice(rest, size)):
        yield piece


def in_turn(*lists: Iterable[Item]) -> Iterator[Item]:
    """The first item of each of *lists*, then the second of each, and so on: no long one keeps another waiting."""
    over = object()
    for items in zip_longest(*lists, fillvalue=over):
        yield from (item for item in items if item is not over)  # type: ignore[misc]
