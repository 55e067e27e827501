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
    """The items, those last of which one of the *texts*, as its path, stands in the *complaint*; and how many stand
    before them."""
    named = [any(is_named(text, complaint) for text in texts(item)) for item in items]
    ordered = [item for last in (False, True) for item, its in zip(items, named, strict=True) if its is last]
    return ordered, named.count(False)


def first_failing(count: int, passes: Callable[[int], bool], first: int, good: int = 0) -> int:
    """The smallest number of items that fails, of *count* in a row that fail together: the last of these is at fault,
    beside those before it, if any fails at all. *passes* tries so many, the number *first* at first. So many as *good*
    pass, as none of them is taken to do. At most ⌈log2 (count - good)⌉ tries if *first* is no number between those
    two."""
    bad = count
    middle = first if good < first < count else (good + bad + 1) // 2
    while bad - good > 1:
        if passes(middle):
            good = middle
        else:
            bad = middle
        middle = (good + bad + 1) // 2
    return bad
