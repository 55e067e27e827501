"""The known word that a mistyped one is most like. Pure."""

from collections.abc import Iterable

_NAMES = 0.85  # of 1: names of one domain are much alike anyhow
MOST_COMPARED, _MOST_TYPED = 10_000, 5  # known names, and mistyped ones: a suggestion takes less than a second


def similar(word: str, known: Iterable[str], least: float = 0.6) -> str:
    """The word in *known* that is most alike, in any case of letters; "" if none is alike by *least* (of 1)."""
    from difflib import get_close_matches  # noqa: PLC0415 - for a mistake only

    spelled = {one.lower(): one for one in known}
    return next((spelled[one] for one in get_close_matches(word.lower(), spelled, n=1, cutoff=least)), "")


def did_you_mean(unknown: Iterable[str], names: Iterable[str]) -> str:
    """A question, with a blank behind it, that has for each *unknown* certificate that one of *names* which it is most
    like; "" if none is alike, or the comparison would take long."""
    known = list(names)
    if len(known) > MOST_COMPARED:
        return ""
    found = [similar(one, known, _NAMES) for one in list(unknown)[:_MOST_TYPED]]
    meant = ", ".join(dict.fromkeys(filter(None, found)))
    return f"did you mean {meant}? " if meant else ""
