"""How a service is present on a host: what decides which commands reach it there."""

from collections.abc import Callable
from typing import Literal

from common.dataclasses import dataclass

Kind = Literal["", "folder", "file", "program", "other"]
"""The kind of entry at a path, behind links: a *program* is a file that may be run; "" is nothing, and *other* a file
without content too."""


@dataclass(frozen=True, slots=True)
class Presence:
    """A service as one host has it; each is "" where the host has none. *unit*: of a running systemd; *script*: an init
    script; *program*: one of the service's own. *has_socket*: systemd has a socket unit of the same name."""

    unit: str = ""
    script: str = ""
    program: str = ""
    has_socket: bool = False


Question = tuple[tuple[str, ...], tuple[str, ...]]
"""The names of a service's units and of its programs, in order of preference."""
Finder = Callable[[tuple[str, ...], tuple[str, ...]], Presence]
"""Says how a service is present, from the two parts of a `Question`."""


def nowhere(_units: tuple[str, ...], programs: tuple[str, ...]) -> Presence:
    """The Finder of a host of which nothing is known: a service is reached by its own commands."""
    return Presence(program=programs[0] if programs else "")
