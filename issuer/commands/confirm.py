"""A person types a word before a command does what cannot be undone."""

import sys

from common.errors import RefusedError, UsageError
from common.text import one_line


def confirm(word: str, prompt: str, *, yes: bool, otherwise: str, what: str = "the names differ") -> None:
    """Return if the person types *word*, or said *yes* before. Raises RefusedError, *what* with the hint *otherwise*,
    for any other word; RefusedError if nothing was typed; UsageError without a terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("this asks for confirmation and there is no terminal", hint="add --yes")
    try:
        typed = input(one_line(prompt))
    except (EOFError, OSError, ValueError) as error:  # Ctrl-D, a terminal that was closed, bytes that are no text
        raise RefusedError("nothing was typed", hint="nothing was changed; type the name, or add --yes") from error
    if typed.strip() != word:
        raise RefusedError(what, hint=otherwise)
