"""Folders that a path was walked to and that stay open: what acts in one acts there, whatever the path comes to mean.

Root writes into folders of other users: of a service, of the user that the issuer runs as. The owner of a folder can
exchange what lies in it between any two steps of ours. So a path is walked once, from the root down, one open folder
after another. A symbolic link is followed only where nobody but root and this user can make it lead elsewhere.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from errno import ELOOP
from pathlib import Path

from common.dataclasses import dataclass
from common.errors import FileError
from common.owners import user_name

_ENTRY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC  # O_PATH asks for no right to read it
_FOLDER = _ENTRY | os.O_DIRECTORY
_READABLE = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_MOST_LINKS = 40  # in one path, as in the kernel: path_resolution(7)


class Folder:
    """An open folder. *path* led to it without links when it was opened; *is_safe*: nobody but root and this user can
    exchange what lies in it, or the folder. Every method raises OSError."""

    def __init__(self, descriptor: int, path: Path, *, is_safe: bool):
        self.descriptor = descriptor
        self.path = path
        self.is_safe = is_safe

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self.descriptor)

    def status(self) -> os.stat_result:
        return os.fstat(self.descriptor)

    def open(self, name: str, flags: int, mode: int = 0o600) -> int:
        """A descriptor of the entry *name*, never through a link."""
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=self.descriptor)

    def remove(self, name: str) -> None:
        """Remove the entry *name* if there is one."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)

    def names(self) -> list[str]:
        with self.readable() as descriptor:
            return os.listdir(descriptor)

    def attribute(self, name: str) -> bytes:
        """An extended attribute; b"" if it has none of that name."""
        with self.readable() as descriptor, suppress(OSError):  # ENODATA; ENOTSUP of a file system without them
            return os.getxattr(descriptor, name)
        return b""

    def sync(self) -> None:
        """Make renames in it survive a power cut."""
        with self.readable() as descriptor:
            os.fsync(descriptor)

    @contextmanager
    def readable(self) -> Iterator[int]:
        """A descriptor that can do more than hold its place."""
        descriptor = os.open(".", _READABLE, dir_fd=self.descriptor)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of an open folder, there or not. *linked*: a symbolic link led to it."""

    folder: Folder
    name: str
    linked: bool = False

    @property
    def path(self) -> Path:
        return self.folder.path / self.name

    def is_there(self) -> bool:
        """Is there an entry of that name, whatever it is? Raises OSError."""
        try:
            os.stat(self.name, dir_fd=self.folder.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True


def open_folder(path: Path) -> Folder:
    """The folder at *path*. Raises OSError; FileError for a link that is not followed."""
    with _Walk() as walk:
        walk.go(path.absolute().parts)
        return walk.end()


def open_place(path: Path) -> Place:
    """The place of the file that *path* leads to, behind all links. Raises OSError; FileError for a link that is not
    followed."""
    with _Walk() as walk:
        path = path.absolute()
        walk.go(path.parent.parts)
        name, linked = path.name, False
        while (target := walk.target(name)) is not None:
            walk.go(target.parent.parts)
            name, linked = target.name, True
        return Place(walk.end(), name, linked)


@dataclass(frozen=True, slots=True)
class _Step:
    """A folder on the way; *path* ends with a slash. *unsafe* is the first folder down to it whose entries others can
    exchange."""

    descriptor: int
    path: str  # a Path for each step costs more than its system calls
    unsafe: tuple[Path, os.stat_result] | None


class _Walk:
    """A walk from the root of the file system; the folders on the way stay open until it ends."""

    def __init__(self) -> None:
        self._steps: list[_Step] = []
        self._links = 0
        self._add(os.open("/", _FOLDER), "/")

    def __enter__(self) -> "_Walk":
        return self

    def __exit__(self, *_: object) -> None:
        self._back_to(0)

    def go(self, names: Iterable[str]) -> None:
        """Enter one folder after another."""
        for name in names:
            if name.startswith("/"):
                self._back_to(1)
            elif name == "..":  # the folder that we came by, even if this one was moved since
                self._back_to(max(1, len(self._steps) - 1))
            else:
                self._enter(name)

    def target(self, name: str) -> Path | None:
        """Where the link *name* leads to; None for what is no link, or not there."""
        here = self._steps[-1]
        try:
            descriptor = os.open(name, _ENTRY, dir_fd=here.descriptor)
        except FileNotFoundError:
            return None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISLNK(status.st_mode):
                return None
            director = _director(status, here.unsafe)
            if director:
                what = f"{here.path}{name} is a symbolic link that is not followed"
                hint = "put the file or folder itself in its place, or give the link and the folders above it to root"
                raise FileError(what, why=f"{director} can make it lead elsewhere", hint=hint)
            self._links += 1
            if self._links > _MOST_LINKS:
                raise OSError(ELOOP, os.strerror(ELOOP), here.path + name)
            return Path(os.readlink("", dir_fd=descriptor))  # of the very link that was looked at
        finally:
            os.close(descriptor)

    def end(self) -> Folder:
        """The folder that was reached."""
        last = self._steps.pop()
        return Folder(last.descriptor, Path(last.path), is_safe=last.unsafe is None)

    def _enter(self, name: str) -> None:
        here = self._steps[-1]
        try:
            descriptor = os.open(name, _FOLDER, dir_fd=here.descriptor)
        except NotADirectoryError:
            target = self.target(name)
            if target is None:
                raise
            self.go(target.parts)
            return
        self._add(descriptor, f"{here.path}{name}/")

    def _add(self, descriptor: int, path: str) -> None:
        status = os.fstat(descriptor)
        unsafe = self._steps[-1].unsafe if self._steps else None
        if unsafe is None and not _is_safe(status):
            unsafe = (Path(path), status)
        self._steps.append(_Step(descriptor, path, unsafe))

    def _back_to(self, count: int) -> None:
        while len(self._steps) > count:
            os.close(self._steps.pop().descriptor)


def _is_ours(status: os.stat_result) -> bool:
    return status.st_uid in {0, os.geteuid()}


def _is_safe(folder: os.stat_result) -> bool:
    """Can nobody but root and this user exchange what lies in it and is not theirs? A user's own group is that user."""
    own_group = folder.st_gid == os.getegid() != 0
    others = stat.S_IWOTH if own_group else stat.S_IWOTH | stat.S_IWGRP
    return _is_ours(folder) and (not folder.st_mode & others or bool(folder.st_mode & stat.S_ISVTX))


def _director(link: os.stat_result, unsafe: tuple[Path, os.stat_result] | None) -> str:
    """The user who can make *link* lead elsewhere, and why; "" if only root and this user can."""
    if not _is_ours(link):
        return f"{user_name(link.st_uid)}, to whom it belongs,"
    if unsafe is None:
        return ""
    folder, status = unsafe
    if not _is_ours(status):
        return f"{user_name(status.st_uid)}, to whom {folder} belongs,"
    return f"whoever may write into {folder}"
