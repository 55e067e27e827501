"""Looks how services are present on this machine: units of systemd, init scripts, programs. Starts nothing."""

import contextlib
import functools
import os
from collections.abc import Iterable
from pathlib import Path

from agent.model.presence import Presence

# The folders of units in systemd.unit(5), with those that its generators fill for old init scripts.
_UNITS = (
    *("etc/systemd/system", "run/systemd/system", "run/systemd/transient", "usr/local/lib/systemd/system"),
    *("usr/lib/systemd/system", "lib/systemd/system"),
    *("run/systemd/generator.early", "run/systemd/generator", "run/systemd/generator.late"),
)
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # where nginx and apachectl lie, and where cron's PATH does not look
_SCRIPTS = ("etc/init.d", "usr/local/etc/rc.d", "etc/rc.d")  # of Linux and the BSDs


@functools.cache
def presence(units: tuple[str, ...], programs: tuple[str, ...], root: Path = Path("/")) -> Presence:
    """The Finder of ``agent.model.presence`` for this machine, whose files lie below *root*."""
    runs_systemd = (root / "run/systemd/system").is_dir()  # sd_booted(3)
    unit = _first(unit for unit in units if runs_systemd and _is_unit(unit, root))
    return Presence(
        unit=unit,
        script=_first(unit for unit in units if any((root / folder / unit).is_file() for folder in _SCRIPTS)),
        program=found_programs(programs)[0] if found_programs(programs) else "",
        has_socket=bool(unit) and _is_unit(unit, root, "socket"),
    )


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


def _is_unit(name: str, root: Path, kind: str = "service") -> bool:
    """Is there such a unit? One that is masked, by a link to /dev/null, cannot be started."""
    template, at, _ = name.partition("@")
    names = {f"{name}.{kind}", f"{template}@.{kind}" if at else f"{name}.{kind}"}
    files = [root / folder / one for folder in _UNITS for one in names if os.path.lexists(root / folder / one)]
    return bool(files) and not any(os.path.realpath(file) == os.devnull for file in files)


def _first(names: Iterable[str]) -> str:
    return next(iter(names), "")
