"""A failure that several certificates share is told once, with their count. Pure."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Generic, TypeVar

from common.text import some
from issuer.model.failure import Failure
from issuer.model.outcomes import Ended, Ending
from issuer.model.tries import Tries

T = TypeVar("T")
_QUOTED = 3  # lines of logs
_WORD = re.compile(r"(?<![\w-])[\w-]*\.[\w.-]*")  # what may be a name, or end with one; read once, however long


@dataclass(frozen=True, slots=True)
class Common(Generic[T]):
    """The things that have one *failure* in common, in the order in which they came. Where its words differ by the
    certificate's own name, they say NAME. It quotes the first few requests (*asked*)."""

    failure: Failure
    all: tuple[T, ...]


def by_failure(
    things: Iterable[T], told: Callable[[T], tuple[str, Failure]], about: Callable[[T], str] = lambda _: ""
) -> list[Common[T]]:
    """*things* by failure, in the order of the first of each. *told*: its certificate and its failure. *about*: another
    name that it is about, such as one of those in the certificate; "" for none."""
    groups: dict[Failure, list[T]] = {}
    for thing in things:
        groups.setdefault(_general(*told(thing), about(thing)), []).append(thing)
    found = []
    for general, group in groups.items():
        own = list(dict.fromkeys(told(thing)[1] for thing in group))
        shared = own[0] if len(own) == 1 else general
        asked = [failure.asked for _, failure in map(told, group) if failure.asked]
        found.append(Common(dataclasses.replace(shared, asked=_first(list(dict.fromkeys(asked)))), tuple(group)))
    return found


def _first(quotes: Sequence[str]) -> str:
    more = [f"and {len(quotes) - _QUOTED} more such lines"] if len(quotes) > _QUOTED else []
    return "; ".join([*quotes[:_QUOTED], *more])


def concerned(names: Sequence[str]) -> str:
    """The name of the only one, or the number of certificates with the first of their *names*."""
    return names[0] if len(names) == 1 else f"{len(names)} certificates ({some(names)})"


def without(name: str, text: str) -> str:
    """*text* with NAME in place of *name*. A label without a dot may be an ordinary word, so it stays. No pattern is
    made of the name: somebody may have written 30,000 of them into the table."""
    sought = f".{name.removeprefix('*.').lower()}."

    def general(word: re.Match[str]) -> str:
        dotted = f".{word[0].lower()}."
        return dotted.replace(sought, ".NAME.")[1:-1] if sought in dotted else word[0]

    return _WORD.sub(general, text) if "." in name else text


def _general(name: str, failure: Failure, other: str) -> Failure:
    what, why, hint = (without(other, without(name, text)) for text in (failure.what, failure.why, failure.hint))
    return dataclasses.replace(failure, what=what, why=why, hint=hint)


def complaints(endings: Iterable[Ended], tries: Tries) -> list[list[str]]:
    """The lines of a paragraph for each ending and failure among *endings*, with its hint, and the next attempt. None
    about endings without a failure."""
    bad = [ended for ended in endings if ended.failure is not None]
    return [
        _paragraph(common, tries)
        for ending, before in product(Ending, (False, True))
        for common in by_failure([ended for ended in bad if (ended.ending, ended.before) == (ending, before)], _failed)
    ]


def _failed(ended: Ended) -> tuple[str, Failure]:
    return ended.name, ended.failure or Failure("")


def _paragraph(common: Common[Ended], tries: Tries) -> list[str]:
    first, names = common.all[0], sorted(ended.name for ended in common.all)
    who = first.name if len(names) == 1 else f"{len(names)} certificates"
    what, *advice = common.failure.paragraph(f"{who}: {first.word}: ")
    lines = [what, *[f"  certificates: {some(names)}"] * (len(names) > 1), *advice]
    coming = [ended.next_attempt for ended in common.all if ended.next_attempt]
    if coming:
        lines.append(f"  next attempt: {tries.words(min(coming))}")
    return lines
