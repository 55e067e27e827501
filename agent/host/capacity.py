"""Room and rights in the folders of this machine, looked at without writing."""

import os
from pathlib import Path

_NEEDED = 1_000_000  # bytes: more than all files of one install together


def shortage(folder: Path) -> str:
    """Why nothing can be written into *folder* by this user, "" if it can. Its file system may be mounted read-only,
    which keeps root out too."""
    try:
        room = os.statvfs(folder)
    except OSError as error:
        return f"cannot be looked at: {error.strerror}"
    if room.f_flag & os.ST_RDONLY:
        return "is on a file system that is mounted read-only"
    if not os.access(folder, os.W_OK | os.X_OK):
        return "may not be written by this user"
    free = room.f_bavail if os.geteuid() else room.f_bfree
    if room.f_blocks and free * room.f_frsize < _NEEDED:  # one in memory may have no size
        return f"has {free * room.f_frsize} bytes left on its disk"
    if room.f_files and not (room.f_favail if os.geteuid() else room.f_ffree):
        return "has no inode left on its file system"
    return ""
