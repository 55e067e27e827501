"""The files of another host over SFTP, with OpenSSH's extensions where they are there."""

import stat
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import paramiko
from paramiko.sftp import CMD_EXTENDED

from agent.remote.access import Status
from agent.remote.shell import Execute, ShellAccess


class SftpAccess(ShellAccess):
    """The Access of ``agent.remote.access`` over SFTP. A shell does what an SFTP server lacks, and lists names that are
    not in UTF-8, which paramiko cannot read."""

    def __init__(self, client: paramiko.SFTPClient, execute: Execute):
        super().__init__(execute)
        self._client = client

    @property
    def is_open(self) -> bool:
        channel = self._client.get_channel()
        return channel is not None and not channel.closed

    def statuses(self, paths: Sequence[str]) -> list[Status | None]:
        return [self._status(path) for path in paths]

    def create(self, path: str, content: bytes, mode: int, owner: tuple[int, int]) -> None:
        with suppress(FileNotFoundError):
            self._client.remove(path)
        with self._client.open(path, "wx") as file:
            file.chmod(stat.S_IRUSR | stat.S_IWUSR)
            file.write(content)
            file.flush()
            found = file.stat()
            there = (found.st_uid or 0, found.st_gid or 0)
            wanted = tuple(new if new != -1 else old for new, old in zip(owner, there, strict=True))
            if wanted != there:
                file.chown(*wanted)
            file.chmod(mode)
            self._sync_open(file, path)

    def remove(self, path: str) -> None:
        self._client.remove(path)

    def _status(self, path: str) -> Status | None:
        try:
            found = self._client.lstat(path)
        except FileNotFoundError:
            return None
        numbers = found.st_mode, found.st_uid, found.st_gid, found.st_size, found.st_mtime
        return Status(*(number or 0 for number in numbers))

    def _sync_open(self, file: paramiko.SFTPFile, path: str) -> None:
        client: Any = self._client  # paramiko has no method for this extension
        try:
            client._request(CMD_EXTENDED, "fsync@openssh.com", file.handle)
        except OSError:
            self.sync(path)
