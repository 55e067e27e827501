"""Running the operator's commands: argument lists, never a shell; with a time limit, and nothing left behind by it."""

import math
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from glob import escape, glob
from pathlib import Path
from threading import Thread
from typing import IO

from agent.host.presence import search_path
from agent.host.waits import Waits
from agent.model.certificate import Command
from agent.model.errors import InstallError
from agent.rules.output import shown, with_tail
from common.dataclasses import dataclass
from common.deadline import Deadline
from common.errors import FileError
from common.files import read_end

LISTENING = 5  # seconds at most for a look at a log: a service may be down all the while
LONGEST_OUTPUT = 262_144  # bytes of output, or of a log, that are read
MOST_LOGS, LONGEST_END = 16, 32_768  # files that fit a pattern, and bytes of each: less, for there may be several
_MOST_OUTPUT = 67_108_864  # bytes; a command that prints more is ended
_TO_END = 1.0  # seconds that a command has after each signal
_LOOK = 0.02  # seconds between two looks whether it has ended


@dataclass(frozen=True, slots=True)
class LocalPrograms:
    """The Programs of ``agent.journey.ports`` on this machine; each command gets at most *timeout* seconds. A request
    to stop ends a command as the time limit does."""

    timeout: float
    waits: Waits

    def run(self, step: str, commands: Iterable[Command], facts: Mapping[str, str] | None = None) -> None:
        """Run each to its end, with *facts* in its environment; InstallError, with the end of its output, at the first
        that fails."""
        for command in commands:
            self._run(step, command, facts or {})

    def lines(self, command: Command) -> list[str]:
        """The last lines that the *command* prints; none if it fails, or takes long."""
        try:
            return self._run("listen", command, {}, LISTENING).decode("utf-8", "replace").splitlines()
        except InstallError:
            return []

    def ends_of(self, log: str) -> list[str]:
        """The last lines of the files that fit *log*; none of what is no regular file, or of one to which a link of
        others than root leads: they may choose another's file. None either where that takes long."""
        try:
            return self.waits.within(LISTENING, partial(_ends_of, log))
        except TimeoutError:
            return []

    def _run(self, step: str, command: Command, facts: Mapping[str, str], limit: float = math.inf) -> bytes:
        """Its output. It gets *limit* seconds if that is less than the timeout."""
        timeout = min(limit, self.timeout)
        # A file, not a pipe: a daemon that the command starts keeps its output open, and a pipe would wait for it.
        with _temporary() as output:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **facts, "PATH": search_path()},
                    start_new_session=True,  # its own process group, to be ended as a whole
                )
            except (OSError, ValueError) as error:  # the latter for a NUL
                hint = "name a program that is installed here, as a list of words"
                raise InstallError(step, f"cannot run {shown(step, command)}", why=str(error), hint=hint) from error
            try:
                self.waits.until(Deadline(timeout), partial(_has_ended, process, output))
            except BaseException as error:
                how = _end(process)
                if not isinstance(error, (TimeoutError, _Flood)):
                    raise
                reason = str(error) if isinstance(error, _Flood) else f"it had not ended after {timeout:g} s"
                why = with_tail(reason, _end_of(output))
                raise InstallError(step, f"{shown(step, command)} {how}", why=why) from error
            if process.returncode != 0:
                why = with_tail(_ending(process.returncode), _end_of(output))
                raise InstallError(step, f"{shown(step, command)} failed", why=why)
            return _end_of(output)


def _ends_of(log: str) -> list[str]:
    if "*" not in log:
        return _end_lines(log, LONGEST_OUTPUT)
    files = sorted(glob("*".join(map(escape, log.split("*")))), key=_last_written)[-MOST_LOGS:]
    return [line for file in files for line in _end_lines(file, LONGEST_END)]


def _end_lines(file: str, most: int) -> list[str]:
    try:
        return read_end(Path(file), most)[0].decode("utf-8", "replace").splitlines()
    except (OSError, ValueError, FileError):
        return []


def _last_written(file: str) -> float:
    try:
        return os.lstat(file).st_mtime
    except OSError:
        return 0.0


def _temporary() -> IO[bytes]:
    """A file without a name; in memory where every disk is full or mounted read-only: then services need us most."""
    try:
        return tempfile.TemporaryFile()
    except OSError:
        return os.fdopen(os.memfd_create("output"), "w+b")


class _Flood(Exception):
    """A command prints without end, as one that asks and gets no answer. It would fill the disk."""


def _has_ended(process: "subprocess.Popen[bytes]", output: IO[bytes], seconds: float) -> bool:
    if os.fstat(output.fileno()).st_size > _MOST_OUTPUT:
        raise _Flood(f"it had printed more than {_MOST_OUTPUT} bytes")
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: "subprocess.Popen[bytes]") -> str:
    """End it with its process group; says what came of that. sudo(8) hands SIGTERM on to what it runs in a group of its
    own, and cannot do so when it is killed. A command that doas(1) runs for a user who is not root goes on."""
    ended = False
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(PermissionError, ProcessLookupError):
            os.killpg(process.pid, number)
        ended = _dies(process)
    Thread(target=process.wait, daemon=True).start()
    return "was ended" if ended else "goes on: it is another user's, or hangs in the kernel"


def _dies(process: "subprocess.Popen[bytes]") -> bool:
    """Does its first process end soon? That keeps its number, which is the group's, until somebody waits for it."""
    deadline = Deadline(_TO_END)
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if deadline.over:
            return False
        time.sleep(_LOOK)
    return True


def _ending(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"ended by signal {-code}"


def _end_of(output: IO[bytes]) -> bytes:
    output.seek(max(0, output.seek(0, os.SEEK_END) - LONGEST_OUTPUT))
    return output.read()
