"""Owners of files: who may use a file, and who is to own a new one."""

import contextlib
import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from common.errors import FileError

# A service's sandbox may keep even the owner of a folder from writing there; a shell shows nothing wrong.
IN_A_UNIT = "under systemd, name that folder in ReadWritePaths= of the unit; for the agent `init --system` does that"

_MOST_LINKS = 40  # as many as the kernel follows
_NO_ID = 2**32 - 1  # chown(2): no change


def owner_ids(owner: str, group: str) -> tuple[int, int]:
    """Numeric user and group of two names, -1 for an empty one. A number that is no name stands for itself, as in
    chown(1). Raises ValueError with a sentence for an unknown name."""
    return (
        _number("user", owner, lambda: pwd.getpwnam(owner).pw_uid),
        _number("group", group, lambda: grp.getgrnam(group).gr_gid),
    )


def _number(kind: str, name: str, look_up: Callable[[], int]) -> int:
    if not name:
        return -1
    try:
        return look_up()
    except KeyError as error:
        if name.isascii() and name.isdecimal() and int(name) < _NO_ID:
            return int(name)
        raise ValueError(f"there is no {kind} {name!r} on this host") from error


def heir(folder: os.stat_result) -> tuple[int, int]:
    """User and group of a new file in *folder*. A file that root makes is given to the folder's owner, who works with
    it; (-1, -1), no change, for everybody else."""
    return (folder.st_uid, folder.st_gid) if os.geteuid() == 0 else (-1, -1)


def owner_hint(file: Path) -> str:
    """Advice for a user who may not use *file*: the owner of the file, or of the folder that it would be in."""
    there, status = next(_found(file))
    folder, mine = there.parent.stat(), os.geteuid()
    if status.st_uid == mine:
        return f"{there} is yours: look at its mode and attributes (lsattr), and how it is mounted; {IN_A_UNIT}"
    if there == file and folder.st_uid == mine:
        return f"it belongs to {user_name(status.st_uid)}: as root give it back, `chown {user_name(mine)}: {file}`"
    return f"run as {user_name(status.st_uid)}, to whom {there} belongs"


def who_directs_root(file: Path) -> str:
    """The user besides root who can edit or exchange *file*, which need not be there yet and whose commands root runs:
    "USER, to whom FOLDER belongs". "" if nobody can, or we are not root. Raises FileError where it cannot be looked
    at."""
    try:
        return _director(file.absolute())
    except OSError as error:
        hint = "mend the path, or how it is mounted"
        raise FileError(f"cannot look at {file}", why=error.strerror or str(error), hint=hint) from error


def _director(file: Path) -> str:
    paths = dict.fromkeys(each for one in _way(file) for each in (one, *one.parents))
    for one in paths if os.geteuid() == 0 else ():
        try:
            status = one.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if status.st_uid != 0:
            return f"{user_name(status.st_uid)}, to whom {one} belongs,"
        if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
            return f"everybody, as {one} is writable for all,"
        if status.st_mode & stat.S_IWGRP and status.st_gid != 0 and not status.st_mode & stat.S_ISVTX:
            return f"the group {group_name(status.st_gid)}, as {one} is writable for it,"
    return ""


def _way(file: Path) -> Iterator[Path]:
    """*file*, and each path that links on the way to it lead to."""
    yield file
    for _ in range(_MOST_LINKS):
        link = next((one for one in (*reversed(file.parents), file) if one.is_symlink()), None)
        if link is None:
            return
        file = Path(os.path.normpath(link.parent / link.readlink())) / file.relative_to(link)
        yield file


def _found(file: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """*file* and its parent folders, as far as they can be seen, with their status."""
    for one in (file, *file.parents):
        with contextlib.suppress(OSError):
            yield one, one.lstat()


def group_name(gid: int) -> str:
    """The name of a group, or its number."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def own_name() -> str:
    """The name of this process's user, or its number."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def user_name(uid: int) -> str:
    """The name of a user, or "user" and its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
