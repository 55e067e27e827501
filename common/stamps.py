"""Was a file changed since it was read? Reads nothing of it."""

import os
from collections.abc import Iterable
from pathlib import Path

Stamp = tuple[int, ...]
"""Differs whenever a file was written, replaced, or given to others."""


def stamps(files: Iterable[Path]) -> dict[Path, Stamp | None]:
    """The stamp of each of *files*; None where there is no such file, or it cannot be looked at."""
    return {file: _stamp(file) for file in files}


def _stamp(file: Path) -> Stamp | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
