"""Whose a file is, or is to be; and what that means for who may not use it."""

import contextlib
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

# In a service's sandbox the owner of a folder may be kept from writing there, and sees nothing wrong from a shell.
IN_A_UNIT = "under systemd, name that folder in ReadWritePaths= of the unit"


def owner_ids(owner: str, group: str) -> tuple[int, int]:
    """Numeric user and group of two names, -1 for an empty one; ValueError with a sentence for an unknown name."""
    try:
        uid = pwd.getpwnam(owner).pw_uid if owner else -1
    except KeyError as error:
        raise ValueError(f"there is no user {owner!r} on this host") from error
    try:
        gid = grp.getgrnam(group).gr_gid if group else -1
    except KeyError as error:
        raise ValueError(f"there is no group {group!r} on this host") from error
    return uid, gid


def heir(folder: Path) -> tuple[int, int]:
    """User and group of what is made in *folder*: what root makes is the folder's owner's, who has to go on with it;
    (-1, -1), as it comes, for everybody else. Raises OSError."""
    if os.geteuid() != 0:
        return -1, -1
    status = folder.stat()
    return status.st_uid, status.st_gid


def owner_hint(file: Path) -> str:
    """What helps a user who may not use *file*: whose it is, or whose the folder is in which it is to be."""
    there, status = next(_found(file))
    folder, mine = there.parent.stat(), os.geteuid()
    if status.st_uid == mine:
        return f"{there} is yours: look at its mode, and how it is mounted; {IN_A_UNIT}"
    if there == file and folder.st_uid == mine:
        return f"it belongs to {_user(status.st_uid)}: as root give it back, `chown {_user(mine)}: {file}`"
    return f"run as {_user(status.st_uid)}, to whom {there} belongs"


def who_directs_root(file: Path) -> str:
    """Whoever, beside root, can put other words into *file*, which root obeys: "USER, to whom FOLDER belongs"; "" if
    nobody can, or we are not root. Raises OSError."""
    for one in (file, file.parent) if os.geteuid() == 0 else ():
        status = one.stat()
        if status.st_uid != 0:
            return f"{_user(status.st_uid)}, to whom {one} belongs,"
        if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
            return f"everybody, as {one} is writable for all,"
    return ""


def _found(file: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Those of *file* and the folders above it that can be seen, from the file on."""
    for one in (file, *file.parents):
        with contextlib.suppress(OSError):
            yield one, one.lstat()


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
