"""The changes of `init --system` to a machine, for either program, as root: a link, units of systemd, their timer.

Nothing that is there already is overwritten.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from common.command_line import say
from common.errors import RefusedError
from common.files import create_new, make_folder, write_atomic

_LOCAL, _UNITS = Path("/usr/local"), Path("/etc/systemd/system")
_MANUAL = {  # what deploy/manual.py makes for a program, and where it lies in /usr/local
    "{}.1": "share/man/man1/{}.1",
    "{}.bash": "share/bash-completion/completions/{}",
    "{}.zsh": "share/zsh/site-functions/_{}",
    "{}.fish": "share/fish/vendor_completions.d/{}.fish",
}
_RUNNING = Path("/run/systemd/system")  # is there where systemd is the first process: sd_booted(3)
_LONGEST_SECONDS = 120


def require_root() -> None:
    """Raises RefusedError for anybody else."""
    if os.geteuid() != 0:
        raise RefusedError("--system sets up the machine, which only root may", hint="run it as root, or leave it out")


def act(*command: str, stdin: str = "") -> None:
    """Run a program of the system. Raises RefusedError with what it said if it fails."""
    hint = "mend that, then run the same command again: it goes on from there"
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=_LONGEST_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RefusedError(f"{command[0]} cannot be run", why=str(error), hint=hint) from error
    if done.returncode != 0:
        why = (done.stderr or done.stdout).strip()[-500:] or f"exit code {done.returncode}"
        raise RefusedError(f"{' '.join(command)} failed", why=why, hint=hint)


def program(name: str) -> Path:
    """The program that runs now. Raises RefusedError where it was not started by its *name*, as a service has to."""
    started = Path(os.path.realpath(sys.argv[0]))
    if started.name != name or not os.access(started, os.X_OK):
        hint = f"install it in a virtual environment and start its {name}, as the README does"
        raise RefusedError(f"{started} is not an installed {name}, so no service can start it", hint=hint)
    return started


def link(started: Path) -> None:
    """Let every user start the program *started* by its name, read its man page, and have its words completed."""
    _link(_LOCAL / "bin" / started.name, started)
    manual = Path(str(resources.files("common"))) / "manual"  # is not there where certfleet was not built
    for file, place in _MANUAL.items():
        source = manual / file.format(started.name)
        if source.is_file():
            _link(_LOCAL / place.format(started.name), source)


def _link(place: Path, target: Path) -> None:
    if target == place or os.path.lexists(place):
        say(f"kept     {place}")
        return
    make_folder(place.parent)
    place.symlink_to(target)
    say(f"made     {place}, a link to {target}")


def install_units(folder: str, names: Sequence[str], started: Path) -> bool:
    """Write the units *names*, which lie in the package *folder*, for the program *started*. Returns False, and tells
    it, on a machine without systemd."""
    if not _RUNNING.is_dir():
        say(f"no systemd runs here: for the daily run copy deploy/cron/{started.name} into /etc/cron.d")
        return False
    for name in names:
        file = _UNITS / name
        if os.path.lexists(file):
            say(f"kept     {file}")
            continue
        text = resources.files(folder).joinpath("systemd", name).read_text(encoding="utf-8")
        create_new(file, text.replace(f"/opt/certfleet/bin/{started.name}", str(started)).encode(), mode=0o644)
        say(f"wrote    {file}")
    act("systemctl", "daemon-reload")
    return True


def write_drop_in(unit: str, name: str, text: str) -> None:
    """Write *text* as the drop-in *name* of *unit*, whatever it said before, and have systemd read it."""
    file = _UNITS / f"{unit}.d" / name
    make_folder(file.parent)
    same = file.is_file() and file.read_bytes() == text.encode()
    if not same:
        write_atomic(file, text.encode())
        act("systemctl", "daemon-reload")
    say(f"{'kept' if same else 'wrote':8} {file}")


def unit_properties(unit: str, *names: str) -> dict[str, list[str]]:
    """The words of each property of *unit* with all its drop-ins, by systemd itself. {} where no systemd runs, or it
    does not answer."""
    if not _RUNNING.is_dir():
        return {}
    command = ["systemctl", "show", unit, f"--property={','.join(names)}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return {name: shlex.split(value) for name, _, value in (line.partition("=") for line in done.stdout.splitlines())}


def is_enabled(unit: str) -> bool:
    """Is *unit* started at each boot? False where no systemd runs."""
    command = ["systemctl", "--quiet", "is-enabled", unit]
    return _RUNNING.is_dir() and subprocess.run(command, check=False, capture_output=True).returncode == 0


def disable(*units: str) -> None:
    """Stop *units*, and start them at no boot."""
    act("systemctl", "--quiet", "disable", "--now", *units)


def enable(unit: str) -> None:
    """Start *unit* now and at each boot."""
    act("systemctl", "enable", "--now", unit)
    say(f"started  {unit}, now and at each boot")
