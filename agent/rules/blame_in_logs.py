"""Which of several new certificates the log of a service names, where the service takes none of them. Pure."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import takewhile

from agent.rules.blame import is_named

_LONGEST = 400  # characters that are quoted
_TROUBLE = re.compile(
    r"err|fail|fatal|can ?not|can't|could ?n[o']t|unable|unusable|invalid|denied|no such|match|bad", re.I
)
_WELL = re.compile(r"\b(configured|found|load|loaded|loading|read|reading|use|used|using)\b", re.I)


def new_lines(before: Collection[str], now: Sequence[str]) -> list[str]:
    """The lines of *now* that were not there *before*, nor are the end of one that was: what is read of a log may begin
    within a line."""
    known = set(before)
    return [line for line in now if line not in known and not any(old.endswith(line) for old in known)]


def named_in(lines: Sequence[str], texts: Mapping[str, Collection[str]]) -> dict[str, str]:
    """The names of those of which a line has one of the *texts*, as the path of a file; where several share that text,
    as one key, those of which it has the most. Those of which a line tells trouble, if there are any, else those of
    which one says more than that a file was found or read. Each with its first such line, and OpenSSL's errors right
    behind that, or "": other lines may be about clients, and are not quoted."""
    for telling in (_TROUBLE.search, lambda line: not _WELL.search(line)):
        if found := _named_in(lines, texts, telling):
            return found
    return dict.fromkeys(_named_in(lines, texts, bool), "")


def _named_in(
    lines: Sequence[str], texts: Mapping[str, Collection[str]], telling: Callable[[str], object]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for place, line in enumerate(lines):
        if not telling(line):
            continue
        counts = {name: sum(is_named(text, line) for text in set(own)) for name, own in texts.items()}
        most = max(counts.values(), default=0)
        for name in (name for name, count in counts.items() if 0 < count == most):
            words = [line, *takewhile(_is_of_openssl, lines[place + 1 :])]
            found.setdefault(name, " | ".join(map(str.strip, words))[:_LONGEST])
    return found


def _is_of_openssl(line: str) -> bool:
    return "error:" in line and " routines:" in line
