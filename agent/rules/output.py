"""A command that failed and its output, as people see them. They go into logs, mails and the database: no private key
does, and no words of a command that may have a password among them. Pure."""

import re

from agent.model.certificate import Command

_TAIL = 800  # characters of output
_CLOSED = {"verify": " of `verify`", "notify": ""}  # steps whose commands log in somewhere, and how they are told
_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)


def shown(step: str, command: Command) -> str:
    """The command; of one that logs in somewhere the program alone."""
    return f"`{command[0]} …`{_CLOSED[step]}" if step in _CLOSED else f"`{' '.join(command)}`"


def with_tail(why: str, output: bytes) -> str:
    """The reason *why* it failed, and the end of its *output*, whose lines stand behind each other."""
    text = _KEY.sub("(a private key)", output.decode("utf-8", "replace"))
    tail = " | ".join(text[-_TAIL:].split("\n")).strip(" |")
    return f"{why}; it said: {tail}" if tail else why
