"""This interpreter and our code for a process of any user, wherever they lie: only root may enter /root.

The process inherits the folders open, and reaches what is in them without passing through those above.
"""

import functools
import os
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import program

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Python:
    """The first words of a command, what its environment needs, and the descriptors for `pass_fds`."""

    command: tuple[str, ...]
    environment: dict[str, str]
    folders: tuple[int, ...]


def python_of(user: int) -> Python:
    """Python as this user and their group. Only root can become another user."""
    source, packages, base = folders = _folders()
    become = (program("setpriv", "util-linux"), f"--reuid={user}", f"--regid={user}", "--clear-groups")
    interpreter = Path(os.path.realpath(sys.executable)).relative_to(os.path.realpath(sys.base_prefix))
    return Python(
        (*become, "--pdeathsig", "KILL", "--", str(_place(base) / interpreter), "-P"),
        {
            "PYTHONPATH": f"{_place(source)}:{_place(packages)}",
            "LD_LIBRARY_PATH": str(_place(base) / "lib"),  # a shared libpython is looked for where it came from
        },
        folders,
    )


@functools.cache
def _folders() -> tuple[int, int, int]:
    """Source, packages and interpreter, open as long as this process lives."""
    source, packages, base = (
        os.open(folder, os.O_PATH | os.O_DIRECTORY) for folder in (ROOT, sysconfig.get_path("purelib"), sys.base_prefix)
    )
    return source, packages, base


def _place(folder: int) -> Path:
    return Path(f"/proc/self/fd/{folder}")
