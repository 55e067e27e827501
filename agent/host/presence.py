"""Looks how services are present on this machine: units of systemd, init scripts, programs. Starts nothing."""

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from agent.host.programs import search_path
from agent.model.presence import Presence

# The folders of units in systemd.unit(5), with those that its generators fill for old init scripts.
_UNITS = (
    *("etc/systemd/system", "run/systemd/system", "run/systemd/transient", "usr/local/lib/systemd/system"),
    *("usr/lib/systemd/system", "lib/systemd/system"),
    *("run/systemd/generator.early", "run/systemd/generator", "run/systemd/generator.late"),
)
_SCRIPTS = ("etc/init.d", "usr/local/etc/rc.d", "etc/rc.d")  # of Linux and the BSDs


def presence(units: Sequence[str], programs: Sequence[str], root: Path = Path("/")) -> Presence:
    """The Finder of ``agent.model.presence`` for this machine, whose files lie below *root*."""
    runs_systemd = (root / "run/systemd/system").is_dir()  # sd_booted(3)
    return Presence(
        unit=_first(unit for unit in units if runs_systemd and _is_unit(unit, root)),
        script=_first(unit for unit in units if any((root / folder / unit).is_file() for folder in _SCRIPTS)),
        program=found_programs(programs)[0] if found_programs(programs) else "",
    )


def found_programs(programs: Iterable[str]) -> tuple[str, ...]:
    """Those of *programs* that are installed here."""
    folders = search_path()
    return tuple(program for program in programs if shutil.which(program, path=folders))


def _is_unit(name: str, root: Path) -> bool:
    """Is there such a service unit? One that is masked, by a link to /dev/null, cannot be started."""
    template, at, _ = name.partition("@")
    names = {f"{name}.service", f"{template}@.service" if at else f"{name}.service"}
    files = [root / folder / one for folder in _UNITS for one in names if os.path.lexists(root / folder / one)]
    return bool(files) and not any(os.path.realpath(file) == os.devnull for file in files)


def _first(names: Iterable[str]) -> str:
    return next(iter(names), "")
