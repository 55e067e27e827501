"""The logs that were rotated, newest first, as far back as is asked for. Bounded in bytes, packed and unpacked."""

import contextlib
import errno
import gzip
import os
import zlib
from pathlib import Path

from common.errors import FileError
from common.files import status_of_regular
from common.folders import Folder, open_place
from issuer.rules.rotated import PACKED, rotated

_MOST_PACKED = 20_000_000  # bytes of a packed log
_MOST_UNPACKED = 200_000_000  # bytes: the end of a packed log is seen only when all before it was unpacked
_CHUNK = 1_000_000
_FOR_READING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
_NO_LOG = (OSError, EOFError, zlib.error)


def text_before(file: Path, present: os.stat_result, since: float, room: int) -> bytes:
    """At most *room* bytes that stood before those of *file* (*present* is its status) and reach back to *since* (epoch
    seconds) where such are there. Nothing older than what cannot be read: a gap would show nothing that was asked in
    it."""
    parts: list[bytes] = []
    if room <= 0:
        return b""
    with contextlib.suppress(*_NO_LOG, FileError), contextlib.closing((place := open_place(file)).folder) as folder:
        for name, status in _newest_first(folder, place.name):
            if os.path.samestat(status, present):  # rotated since *file* was read
                continue
            parts.insert(0, _end(folder, name, room))
            room -= len(parts[0])
            if room <= 0 or status.st_mtime <= since:
                break
    return b"".join(parts)


def _newest_first(folder: Folder, name: str) -> list[tuple[str, os.stat_result]]:
    found = [
        (one, os.stat(one, dir_fd=folder.descriptor, follow_symlinks=False)) for one in rotated(name, folder.names())
    ]
    return sorted(found, key=lambda each: each[1].st_mtime, reverse=True)


def _end(folder: Folder, name: str, most: int) -> bytes:
    """The last *most* bytes of a rotated log. Raises OSError, EOFError, zlib.error."""
    with os.fdopen(folder.open(name, _FOR_READING), "rb") as stream:
        status = status_of_regular(stream.fileno(), name)
        if not name.endswith(PACKED):
            stream.seek(max(0, status.st_size - most))
            return stream.read(most)
        if status.st_size > _MOST_PACKED:
            raise OSError(errno.EFBIG, f"it is larger than {_MOST_PACKED} bytes", name)
        kept, total = b"", 0
        with gzip.GzipFile(fileobj=stream) as packed:
            while chunk := packed.read(_CHUNK):
                kept, total = (kept + chunk)[-most:], total + len(chunk)
                if total > _MOST_UNPACKED:
                    raise OSError(errno.EFBIG, f"it is larger than {_MOST_UNPACKED} bytes unpacked", name)
        return kept
