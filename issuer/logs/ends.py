"""The ends of logs that other programs write, with those that were rotated before. Bounded in bytes and in time."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from common.errors import FileError
from common.files import read_end
from common.threads import each_within
from issuer.logs.rotated import text_before
from issuer.model.asked import Log

_MOST = 4_000_000  # bytes of a log: what a busy server writes in a minute
_SECONDS = 10.0  # a file of another machine may never answer
_AT_ONCE = 8


def ends_of(files: Sequence[str], since: float, *, seconds: float = _SECONDS) -> list[Log]:
    """The end of each of *files*, behind that of rotated ones back to *since* (epoch seconds). Never raises."""
    late = f"cannot be read: no answer within {seconds:g} s"
    return each_within(
        partial(end_of, since=since), map(Path, files), _AT_ONCE, seconds, lambda file: Log(file, problem=late)
    )


def end_of(file: Path, since: float) -> Log:
    """The end of *file* as in `ends_of`; a log with a problem where it cannot be read."""
    found = _present(file)
    if isinstance(found, str):
        return Log(file, problem=found)
    text, status = found
    return Log(file, text_before(file, status, since, _MOST - len(text)) + text, status.st_mtime)


def _present(file: Path) -> tuple[bytes, os.stat_result] | str:
    """The end of *file* alone, and its status; why it cannot be read."""
    try:
        return read_end(file, _MOST)
    except (OSError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', '') or error}"
    except FileError as error:
        return f"cannot be read: {error.why or error.what}"


def readable(subject: str) -> Callable[[Path], None]:
    """A loader that raises FileError where the log of a *subject* cannot be read."""

    def look(file: Path) -> None:
        if isinstance(problem := _present(file), str):
            hint = f"make the {subject} write it there, and let certfleet read it: by a group like adm, or an ACL"
            raise FileError(f"{file} {problem}", hint=hint)

    return look
