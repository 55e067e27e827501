"""Looks how services are present on this machine: units of systemd, init scripts, programs. Starts nothing."""

import contextlib
import functools
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from agent.model.presence import Kind, Presence
from agent.rules.presence import places, presence_in

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # where nginx and apachectl lie, and where cron's PATH does not look


@functools.cache
def presence(units: tuple[str, ...], programs: tuple[str, ...], root: Path | str = "") -> Presence:
    """The Finder of ``agent.model.presence`` for this machine, whose files lie below *root*."""
    return presence_in(units, programs, {place: _kind(place, root) for place in places(units, programs)})


def found_programs(programs: Iterable[str]) -> tuple[str, ...]:
    """The *programs* that are installed on this machine."""
    folders = search_path().split(":")
    return tuple(
        program
        for program in programs
        if any(_may_run(os.path.join(folder, program)) for folder in ([""] if "/" in program else folders))
    )


def running() -> frozenset[str]:
    """The names of the programs that run on this machine, as far as /proc tells: 15 characters of each at most."""
    names = set()
    for file in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):  # it has ended
            names.add(file.read_text(encoding="utf-8", errors="replace").rstrip("\n"))
    return frozenset(names)


def search_path() -> str:
    """The folders of programs, written as in PATH: PATH itself, and behind it those of administrators' programs."""
    folders = os.environ.get("PATH", "/usr/bin:/bin").split(":")
    return ":".join([*folders, *(folder for folder in _SBIN if folder not in folders)])


def _may_run(file: str) -> bool:
    """As shutil.which has it, without the compression that comes with shutil: every run asks this."""
    return os.path.isfile(file) and os.access(file, os.X_OK)


def _kind(place: str, root: Path | str) -> Kind:
    if "/" not in place:
        return "program" if found_programs([place]) else ""
    file = f"{root}{place}"
    try:
        status = os.stat(file)
    except OSError:
        return ""
    if stat.S_ISREG(status.st_mode) and status.st_size:
        return "program" if os.access(file, os.X_OK) else "file"
    return "folder" if stat.S_ISDIR(status.st_mode) else "other"
