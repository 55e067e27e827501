"""The ends of logs that other programs write, with those that were rotated last. Bounded in bytes and in time."""

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from pathlib import Path

from common.errors import FileError
from common.files import read_end
from common.threads import each_on_thread
from issuer.model.asked import Log

_MOST = 4_000_000  # bytes of a log: what a busy server writes in a minute
_SECONDS = 10.0  # a file of another machine may never answer
_AT_ONCE = 8
_ROTATED = (".0", ".1")  # BIND counts from 0, logrotate from 1


def ends_of(files: Sequence[str], *, seconds: float = _SECONDS) -> list[Log]:
    """The end of each of *files*, with that of the file that was rotated last before it. Never raises."""
    looks = each_on_thread(end_of, list(map(Path, files)), _AT_ONCE)
    wait(looks, seconds)
    late = f"cannot be read: no answer within {seconds:g} s"
    return [
        look.result() if look.done() else Log(Path(file), problem=late) for file, look in zip(files, looks, strict=True)
    ]


def end_of(file: Path) -> Log:
    """The end of *file*; a log with a problem where it cannot be read."""
    try:
        text, status = read_end(file, _MOST)
    except (OSError, ValueError) as error:
        return Log(file, problem=f"cannot be read: {getattr(error, 'strerror', '') or error}")
    except FileError as error:
        return Log(file, problem=f"cannot be read: {error.why or error.what}")
    return Log(file, _rotated(file, _MOST - len(text)) + text, status.st_mtime)


def _rotated(file: Path, room: int) -> bytes:
    """At most *room* bytes of the end of the file that was *file* before; b"" where there is none to read."""
    for ending in _ROTATED:
        with contextlib.suppress(OSError, FileError):
            return read_end(file.with_name(file.name + ending), room)[0]
    return b""


def readable(subject: str) -> Callable[[Path], None]:
    """A loader that raises FileError where the log of a *subject* cannot be read."""

    def look(file: Path) -> None:
        if problem := end_of(file).problem:
            hint = f"make the {subject} write it there, and let certfleet read it: by a group like adm, or an ACL"
            raise FileError(f"{file} {problem}", hint=hint)

    return look
