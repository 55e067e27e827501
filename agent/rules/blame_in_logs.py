"""Which of several new certificates the log of a service names, where the service takes none of them. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import takewhile

_LONGEST = 400  # characters that are quoted


def new_lines(before: Collection[str], now: Sequence[str]) -> list[str]:
    """The lines of *now* that were not there *before*."""
    known = set(before)
    return [line for line in now if line not in known]


def named_in(lines: Sequence[str], texts: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """The names of those of which the *lines* have one of the *texts*, as the path of a file; each with the first such
    line, and OpenSSL's errors right behind it. Others may be about clients, and are not quoted."""
    found = {}
    for name, own in texts.items():
        wanted = tuple(own)
        place = next((number for number, line in enumerate(lines) if any(text in line for text in wanted)), None)
        if place is not None:
            words = [lines[place], *takewhile(_is_of_openssl, lines[place + 1 :])]
            found[name] = " | ".join(map(str.strip, words))[:_LONGEST]
    return found


def _is_of_openssl(line: str) -> bool:
    return "error:" in line and " routines:" in line
