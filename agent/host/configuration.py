"""The configuration of a service on this machine: what its own command shows, and the files that this names."""

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, cast

from agent.host.presence import search_path
from common.deadline import Deadline
from common.errors import FileError
from common.files import read_end, read_regular

_MOST = 20_000_000  # bytes of output, and of a configuration
_TAIL = 262_144  # bytes of a log
_NO_CERTIFICATES = (".key", ".issuer", ".ocsp", ".sctl")  # in a folder of certificates


def output_of(command: Sequence[str], seconds: float) -> str:
    """All that *command* says, on both channels; "" where it cannot be run, does not end, or says too much. Nothing
    that it starts in its process group is left behind."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": search_path()},
            start_new_session=True,
        )
    except OSError:
        return ""
    try:
        with process:
            try:
                return _to_its_end(process, Deadline(seconds)).decode("utf-8", "replace")
            finally:
                if process.returncode is None:  # nobody has waited for it, so the number is still its own
                    os.killpg(process.pid, signal.SIGKILL)
    except (TimeoutError, subprocess.TimeoutExpired):
        return ""


def _to_its_end(process: "subprocess.Popen[bytes]", deadline: Deadline) -> bytes:
    """All that it says; b"" if that is too much. Raises TimeoutError, TimeoutExpired."""
    channel = cast("IO[bytes]", process.stdout).fileno()
    said = bytearray()
    while select.select([channel], [], [], deadline.left())[0]:
        if not (part := os.read(channel, 65536)):
            process.wait(deadline.left())
            return bytes(said)
        said += part
        if len(said) > _MOST:
            return b""
    raise TimeoutError


def texts_of(files: Iterable[str]) -> dict[str, str]:
    """The text of each file that can be read; of a folder, that of each file in it (in order of names)."""
    found: dict[str, str] = {}
    for name in files:
        for file in _within(name):
            with contextlib.suppress(OSError):
                found[str(file)] = read_regular(file, _MOST).decode("utf-8", "replace")
    return found


def _within(name: str) -> list[Path]:
    try:
        return sorted(Path(name).iterdir())
    except OSError:
        return [Path(name)]


def environment_of(processes: Sequence[str]) -> dict[str, str]:
    """The environment of the first program of that name that root, or this user, has started; empty where none runs.
    Others may give theirs any name and any environment."""
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda one: int(one.name)):
        with contextlib.suppress(OSError):
            is_named = (folder / "comm").read_text(encoding="utf-8", errors="replace").strip() in processes
            if is_named and folder.stat().st_uid in (0, os.geteuid()):
                pairs = (folder / "environ").read_bytes().decode("utf-8", "replace").split("\0")
                return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    return {}


def certificates_in(path: str) -> list[str]:
    """The files of certificates that *path* means: itself, or those of a folder."""
    if not os.path.isdir(path):
        return [path]
    with contextlib.suppress(OSError):
        names = [name for name in sorted(os.listdir(path)) if not name.startswith(".")]
        return [os.path.join(path, name) for name in names if not name.endswith(_NO_CERTIFICATES)]
    return []


def content_of(file: str) -> bytes | None:
    """The bytes of a file, None if there is none. Raises OSError, also for what is no regular file."""
    try:
        return read_regular(Path(file))
    except FileNotFoundError:
        return None


def end_of(log: str) -> str:
    """The last lines of a log; "" where it cannot be read, or is a terminal, a pipe or the like."""
    try:
        return read_end(Path(log), _TAIL)[0].decode("utf-8", "replace")
    except (OSError, ValueError, FileError):
        return ""
