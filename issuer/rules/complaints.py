"""The paragraphs about attempts that are not well, for standard error: one for each failure. Pure."""

from collections.abc import Iterable
from itertools import product

from common.text import some
from issuer.model.failure import Failure
from issuer.model.outcomes import Ended, Ending
from issuer.model.tries import Tries
from issuer.rules.shared_failures import Common, by_failure


def complaints(endings: Iterable[Ended], tries: Tries) -> list[list[str]]:
    """The lines of a paragraph for each ending and failure among *endings*, with its hint, and the next attempt. None
    about endings without a failure."""
    bad = [ended for ended in endings if ended.failure is not None]
    return [
        _paragraph(common, tries)
        for ending, before in product(Ending, (False, True))
        for common in by_failure([ended for ended in bad if (ended.ending, ended.before) == (ending, before)], _told)
    ]


def _told(ended: Ended) -> tuple[str, Failure]:
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
