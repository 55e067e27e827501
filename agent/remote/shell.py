"""The files of another host by its own small programs, where no SFTP is offered: those of BusyBox are enough."""

import errno
import os
import shlex
from collections.abc import Sequence
from typing import Protocol

from agent.remote.access import Ended, Status

_ABSENT = 44  # our own exit code
_STATUS = """if [ -e {0} ] || [ -L {0} ]; then stat -c '%f %u %g %s %Y' {0} || exit 1; else echo; fi
"""
_SYNC = "{{ sync {0} 2>/dev/null || sync; }}"  # an old sync takes no file, and writes all that waits


class _Execute(Protocol):
    def __call__(self, script: str, stdin: bytes = b"") -> Ended:
        """The end of *script*, run in a shell of the host. Raises the errors of the connection, untranslated."""


class ShellAccess:
    """The Access of ``agent.remote.access``."""

    def __init__(self, execute: _Execute):
        self._execute = execute

    @property
    def is_open(self) -> bool:
        return True  # each command has a channel of its own

    def statuses(self, paths: Sequence[str]) -> list[Status | None]:
        script = "".join(_STATUS.format(shlex.quote(path)) for path in paths)
        return list(map(_status, self._run(script).split(b"\n")[: len(paths)]))

    def link(self, path: str) -> str:
        return os.fsdecode(self._about(path, "readlink {0}").removesuffix(b"\n"))

    def read(self, path: str, most: int) -> bytes:
        return self._about(path, f"head -c {most} {{0}}")

    def create(self, path: str, content: bytes, mode: int, owner: tuple[int, int]) -> None:
        # In two steps: a connection that is cut ends the content early, and `cat` takes that for its end.
        at = shlex.quote(path)
        self._run(f"umask 077; set -C; cat > {at}", content)
        uid, gid = ("" if number == -1 else str(number) for number in owner)
        script = f"chown {uid}:{gid} {at} && " if (uid or gid) else ""
        size = int(self._run(f"{script}chmod {mode:o} {at} && {_SYNC.format(at)} && wc -c < {at}"))
        if size != len(content):
            raise OSError(errno.EIO, f"{size} of {len(content)} bytes have arrived")

    def rename(self, old: str, new: str) -> None:
        self._about(old, f"mv -f {{0}} {shlex.quote(new)}")

    def remove(self, path: str) -> None:
        self._about(path, "rm -f {0}")

    def names(self, folder: str) -> list[str]:
        return [os.fsdecode(name) for name in self._about(folder, "ls -a {0}").split(b"\n") if name]

    def sync(self, path: str) -> None:
        """Wait until the file is on the disk there."""
        self._run(_SYNC.format(shlex.quote(path)))

    def _about(self, path: str, command: str) -> bytes:
        """The output of a command about *path*, for which {0} stands. Raises FileNotFoundError if there is nothing."""
        at = shlex.quote(path)
        return self._run(f"[ -e {at} ] || [ -L {at} ] || exit {_ABSENT}; {command.format(at)}")

    def _run(self, script: str, stdin: bytes = b"") -> bytes:
        ended = self._execute(script, stdin)
        if ended.code == _ABSENT:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if ended.code != 0:
            raise OSError(errno.EIO, ended.said or f"exit code {ended.code}")
        return ended.out


def _status(line: bytes) -> Status | None:
    if not line:
        return None
    mode, *numbers = line.split()
    return Status(int(mode, 16), *map(int, numbers))
