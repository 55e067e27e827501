"""Several names in one command: from the words, or from a list on standard input. One bad name stops no other."""

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from common.command_line import complain, say
from common.errors import CertfleetError, UsageError, render

T = TypeVar("T")
LIST = "-"  # in the place of a name: names follow on standard input


def names_of(words: Sequence[str]) -> list[str]:
    """The names in *words*, each once; ``-`` stands for the lines of standard input, without blank ones and those that
    begin with #. Raises UsageError for a list without names, and for one that is no text."""
    names = dict.fromkeys(name for word in words for name in (_listed() if word == LIST else [word]))
    if words and not names:
        raise UsageError("the list on standard input has no names", hint="write one name a line")
    return list(names)


def _listed() -> list[str]:
    try:
        lines = sys.stdin.buffer.read().decode().splitlines()
    except UnicodeDecodeError as error:
        raise UsageError("the list on standard input is not UTF-8", hint="write one name a line") from error
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def each(items: Sequence[T], work: Callable[[T], object]) -> int:
    """Do *work* for every item; returns the exit code. With several, an error is told and the next item goes on. Raises
    the error of an item that is the only one."""
    if len(items) == 1:
        work(items[0])
        return 0
    bad = 0
    for item in items:
        try:
            work(item)
        except CertfleetError as error:
            complain(*render(error))
            bad += 1
    if bad:
        say(f"{len(items) - bad} of {len(items)} are done")
    return 1 if bad else 0
