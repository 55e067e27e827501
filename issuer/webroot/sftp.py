"""A webroot of another machine, over SFTP. Import this module only when it is needed: it imports paramiko.

SFTP has no open folders, so a user of the web site could put a link there between two steps. A login as root therefore
changes owner and mode of open files only, never of a folder by its path. Better log in as the owner of the web site.
"""

import posixpath
import socket
import stat
from contextlib import suppress

import paramiko

from issuer.model.errors import WebrootError
from issuer.webroot.layout import FILE_MODE, FOLDER_MODE, EntryKind, kind_of, temporary_name

_TRIAL = f".certfleet-check-{socket.gethostname()}"  # one name for each issuer, so that a left-over is found


def open_remote(client: paramiko.SFTPClient, path: str) -> "RemoteFolder":
    """The webroot at *path*, in which links are followed: the operator chose it. Raises OSError."""
    status = client.stat(path)
    if not stat.S_ISDIR(status.st_mode or 0):
        raise NotADirectoryError(0, "Not a directory")
    return RemoteFolder(client, path, (status.st_uid, status.st_gid))


class RemoteFolder:
    """A folder by its path; :class:`issuer.webroot.layout.Folder` describes the methods."""

    def __init__(self, client: paramiko.SFTPClient, path: str, owner: tuple[int | None, int | None]):
        self.path = path
        self._client = client
        self._owner = owner

    def close(self) -> None:
        """Nothing is open."""

    def writable(self) -> bool:
        """SFTP cannot ask for rights, so a file is created and removed."""
        try:
            self.delete(_TRIAL)  # left by a killed process
            with self._client.open(self._at(_TRIAL), "wx") as file:
                file.write(b"made by certfleet to see whether it may\n")
        except PermissionError:
            return False
        finally:
            with suppress(OSError):
                self.delete(_TRIAL)
        return True

    def kind(self, name: str) -> EntryKind:
        try:
            return kind_of(self._client.lstat(self._at(name)).st_mode or 0)
        except FileNotFoundError:
            return EntryKind.ABSENT

    def make(self, name: str) -> bool:
        try:
            self._client.mkdir(self._at(name), FOLDER_MODE)
        except FileNotFoundError:
            raise
        except OSError:  # SFTP 3 has no error code for "exists already"
            if self.kind(name) is EntryKind.ABSENT:
                raise
            return False
        made = self._client.lstat(self._at(name))
        if stat.S_IMODE(made.st_mode or 0) != FOLDER_MODE:  # the server's umask removed bits
            self._open_up(name, made.st_uid)
        return True

    def enter(self, name: str) -> "RemoteFolder":
        return RemoteFolder(self._client, self._at(name), self._owner)

    def write(self, name: str, content: bytes) -> None:
        temporary = self._at(temporary_name(name))
        self.delete(temporary_name(name))  # left by a killed process
        try:
            with self._client.open(temporary, "wx") as file:
                file.write(content)
                file.flush()
                self._finish(file)
            self._client.posix_rename(temporary, self._at(name))
        except BaseException:
            with suppress(OSError, EOFError, paramiko.SSHException):
                self._client.remove(temporary)
            raise

    def read(self, name: str, limit: int) -> bytes | None:
        if self.kind(name) is not EntryKind.FILE:
            return None
        with self._client.open(self._at(name), "r") as file:
            return file.read(limit)

    def delete(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._client.remove(self._at(name))

    def drop(self, name: str) -> bool:
        try:
            self._client.rmdir(self._at(name))
        except FileNotFoundError:
            return True
        except OSError:  # SFTP 3 has no error code for "not empty" either
            if self._client.listdir(self._at(name)):
                return False
            raise
        return True

    def _at(self, name: str) -> str:
        return posixpath.join(self.path, name)

    def _open_up(self, name: str, owner: int | None) -> None:
        if owner != 0:
            self._client.chmod(self._at(name), FOLDER_MODE)
            return
        self._client.rmdir(self._at(name))
        what = f"the folder {self._at(name)} would be closed to the web server"
        hint = "log in as the owner of the web site, or make that folder there yourself, with mode 0755"
        raise WebrootError(what, why="root's umask there says so", hint=hint)

    def _finish(self, file: paramiko.SFTPFile) -> None:
        uid, gid = self._owner
        if file.stat().st_uid == 0 and uid is not None and gid is not None:  # only root can change the owner
            file.chown(uid, gid)
        file.chmod(FILE_MODE)  # after chown, which may clear bits; regardless of the server's umask
