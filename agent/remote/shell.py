"""The files of another host by its own small programs, where no SFTP is offered: those of BusyBox are enough."""

import errno
import os
import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Protocol

from agent.model.presence import Kind
from agent.remote.access import Ended, Status
from common.files import LARGEST_READ

_ABSENT = 44  # our own exit code
_STATUS = """if [ -e {0} ] || [ -L {0} ]; then stat -c '%f %u %g %s %Y' {0} || exit 1; else echo; fi
"""
ADMINISTRATORS = 'PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"; export PATH'
_KINDS = (
    ADMINISTRATORS
    + """
for at in {0}; do
    case $at in */*) ;; *) at=$(command -v "$at") ;; esac
    if [ -d "$at" ]; then echo d; elif [ ! -e "$at" ]; then echo; elif [ ! -f "$at" ] || [ ! -s "$at" ]; then echo o
    elif [ -x "$at" ]; then echo x; else echo f; fi
done"""
)
_KIND: dict[str, Kind] = {"": "", "d": "folder", "f": "file", "x": "program", "o": "other"}
PUBLIC = "openssl pkey -in {0} -passin pass: -pubout"
_HOLDS_KEY = f"head -c {LARGEST_READ} {{0}} | grep -q 'PRIVATE KEY-----'"
# openssl takes the first key and is silent about the rest
_PUBLIC_HALF = f"""if grep -e '-----BEGIN' {{0}} | grep -qv -e 'PRIVATE KEY-----' -e 'EC PARAMETERS-----'; then
    echo 'it holds a private key and more' >&2
    exit 1
fi
{PUBLIC}
"""
_KEY = f"[ -f {{0}} ] && {_HOLDS_KEY} || exit 0\n{_PUBLIC_HALF}"
_LOOK = f"""stat -c '%f %u %g %s %Y' {{0}} || exit
[ -f {{0}} ] || exit 0
if {_HOLDS_KEY}; then
{_PUBLIC_HALF}else
head -c {{1}} {{0}}
fi"""
# what a killed run has left goes; and what somebody else puts there meanwhile is not taken for ours
_NEW = "umask 077; rm -f {0}; set -C"
_SYNC = "{{ sync {0} 2>/dev/null || sync; }}"  # an old sync takes no file, and writes all that waits

_WORD = "certfleet-runs-this"  # no greeting has it
BEGUN = f"{_WORD}\n".encode()
_WRAP = f"""exec /bin/sh -c 'script=$(printf %b "$1") && echo {_WORD} && eval "$script"' sh '{{}}'"""
_OF_SHELLS = re.compile(r"[\\'!\n]")  # what csh, fish and sh take for different things between single quotes


def in_any_shell(script: str) -> str:
    """Words for a login shell of whatever kind, that have /bin/sh say BEGUN and run *script*."""
    return _WRAP.format(_OF_SHELLS.sub(lambda found: f"\\0{ord(found[0]):03o}", script))


class Execute(Protocol):
    def __call__(self, script: str, stdin: bytes = b"") -> Ended:
        """The end of *script*, run in a shell of the host. Raises the errors of the connection, untranslated."""


class ShellAccess:
    """The Access of ``agent.remote.access``."""

    def __init__(self, execute: Execute):
        self._execute = execute

    @property
    def is_open(self) -> bool:
        return True  # each command has a channel of its own

    def statuses(self, paths: Sequence[str]) -> list[Status | None]:
        script = "".join(_STATUS.format(shlex.quote(path)) for path in paths)
        return list(map(_status, self._run(script).split(b"\n")[: len(paths)]))

    def kinds(self, places: Sequence[str]) -> list[Kind]:
        found = self._run(_KINDS.format(shlex.join(places))).decode("ascii").split("\n")
        return [_KIND[letter] for letter in found[: len(places)]]

    def link(self, path: str) -> str:
        try:
            return self._about(path, "readlink {0}").removesuffix(b"\n").decode()
        except UnicodeDecodeError as error:
            raise OSError(errno.EILSEQ, f"{path} leads to a name that is not in UTF-8") from error

    def look(self, path: str, most: int) -> tuple[Status, bytes]:
        line, _, content = self._about(path, _LOOK.format("{0}", most)).partition(b"\n")
        return _known(line), content

    def create(self, path: str, content: bytes, mode: int, owner: tuple[int, int]) -> None:
        # A connection that is cut ends the content early, and `cat` takes that for its end.
        at = shlex.quote(path)
        arrived = f"""[ $(wc -c < {at}) -eq {len(content)} ] || {{ echo 'not all of it has arrived' >&2; exit 1; }}"""
        self._run(f"{_NEW.format(at)}; cat > {at} || exit; {arrived}; {_finish(at, mode, owner)}", content)

    def key_in(self, path: str) -> bytes:
        return self._run(_KEY.format(shlex.quote(path)))

    def copy(self, source: str, path: str, mode: int, owner: tuple[int, int]) -> None:
        at = shlex.quote(path)
        self._run(f"{_NEW.format(at)}; cat {shlex.quote(source)} > {at} && {_finish(at, mode, owner)}")

    def rename(self, moves: Mapping[str, str]) -> None:
        # A shell begins with what is in braces when it has read all of that; one command line would have a limit.
        each = [f"mv -f {shlex.quote(old)} {shlex.quote(new)}" for old, new in moves.items()]
        folders = dict.fromkeys(map(posixpath.dirname, moves.values()))  # what has a new name is on disk when these are
        each.append(_SYNC.format(shlex.join(folders)))
        self._run("exec sh", f"{{ {' && '.join(each)}; }}\n".encode())

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


def _finish(at: str, mode: int, owner: tuple[int, int]) -> str:
    """Words that give the file *at* its rights and have it written to its disk."""
    uid, gid = ("" if number == -1 else str(number) for number in owner)
    script = f"chown {uid}:{gid} {at} && " if (uid or gid) else ""
    return f"{script}chmod {mode:o} {at} && {_SYNC.format(at)}"


def _status(line: bytes) -> Status | None:
    return _known(line) if line else None


def _known(line: bytes) -> Status:
    mode, *numbers = line.split()
    return Status(int(mode, 16), *map(int, numbers))
