"""Which of several new certificates is at fault, where a service's own check fails on all together. Pure but for the
check itself, which the caller hands in."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


def is_named(path: str, words: str) -> bool:
    """Do the *words* name just this file? Not where the path is part of another, as of a.pem.old or /chroot/…/a.pem."""
    return path in words and re.search(rf"(?<![\w./~@+%-]){re.escape(path)}(?![\w/~@+%-]|\.\w)", words) is not None


def suspects_last(items: Sequence[T], texts: Callable[[T], Iterable[str]], complaint: str) -> tuple[list[T], int]:
    """The items, with those behind the others that the *complaint* names by one of their *texts*, as a path; and how
    many it does not name."""
    named = [any(is_named(text, complaint) for text in texts(item)) for item in items]
    ordered = [item for last in (False, True) for item, its in zip(items, named, strict=True) if its is last]
    return ordered, named.count(False)


def first_failing(count: int, passes: Callable[[int], bool], first: int, good: int = 0) -> int:
    """Of *count* items in a row, which fail together: the fewest from the front that fail. The last of those is at
    fault, perhaps together with some before it. *passes*: do so many from the front pass? So many as *good* do, which
    is not tried. *first* is tried first. At most ⌈log2 (count - good)⌉ tries where *first* is not between the two."""
    bad = count
    middle = first if good < first < count else (good + bad + 1) // 2
    while bad - good > 1:
        if passes(middle):
            good = middle
        else:
            bad = middle
        middle = (good + bad + 1) // 2
    return bad
