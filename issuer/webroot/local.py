"""A webroot of this machine. All work goes through open folders: nobody can put a link there between two steps."""

import os
from contextlib import suppress
from errno import ENOTEMPTY

from issuer.webroot.layout import FILE_MODE, FOLDER_MODE, EntryKind, kind_of, temporary_name

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # NONBLOCK: the name may be a FIFO


def open_local(path: str) -> "LocalFolder":
    """The webroot at *path*, in which links are followed: the operator chose it. Raises OSError."""
    descriptor = os.open(path, _FOLDER)
    status = os.fstat(descriptor)
    # new files belong to the owner of the web site; only root can change the owner
    owner = (status.st_uid, status.st_gid) if os.geteuid() == 0 else None
    return LocalFolder(path, descriptor, owner)


class LocalFolder:
    """An open folder; :class:`issuer.webroot.layout.Folder` describes the methods."""

    def __init__(self, path: str, descriptor: int, owner: tuple[int, int] | None):
        self.path = path
        self._descriptor = descriptor
        self._owner = owner

    def close(self) -> None:
        os.close(self._descriptor)

    def writable(self) -> bool:
        """May this process create entries in it?"""
        return os.access(".", os.W_OK | os.X_OK, dir_fd=self._descriptor, effective_ids=True)

    def kind(self, name: str) -> EntryKind:
        try:
            return kind_of(os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return EntryKind.ABSENT

    def make(self, name: str) -> bool:
        try:
            os.mkdir(name, FOLDER_MODE, dir_fd=self._descriptor)
        except FileExistsError:
            return False
        made = self._open(name)
        try:
            if not os.listdir(made):  # else somebody has put another one in its place
                self._finish(made, FOLDER_MODE)
        finally:
            os.close(made)
        return True

    def enter(self, name: str) -> "LocalFolder":
        return LocalFolder(f"{self.path}/{name}", self._open(name), self._owner)

    def write(self, name: str, content: bytes) -> None:
        temporary = temporary_name(name)
        self.delete(temporary)  # left by a killed process
        descriptor = os.open(temporary, _NEW_FILE, 0o600, dir_fd=self._descriptor)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                self._finish(descriptor, FILE_MODE)
                stream.flush()
                os.fsync(descriptor)
            os.rename(temporary, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except BaseException:
            self.delete(temporary)
            raise

    def read(self, name: str, limit: int) -> bytes | None:
        if self.kind(name) is not EntryKind.FILE:
            return None
        descriptor = os.open(name, _OLD_FILE, dir_fd=self._descriptor)
        with os.fdopen(descriptor, "rb") as stream:
            return stream.read(limit)

    def delete(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._descriptor)

    def drop(self, name: str) -> bool:
        try:
            os.rmdir(name, dir_fd=self._descriptor)
        except OSError as error:
            if error.errno == ENOTEMPTY:
                return False
            raise
        return True

    def _open(self, name: str) -> int:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=self._descriptor)

    def _finish(self, descriptor: int, mode: int) -> None:
        if self._owner is not None:
            os.fchown(descriptor, *self._owner)
        os.fchmod(descriptor, mode)  # after chown, which may clear bits; regardless of our umask
