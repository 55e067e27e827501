"""Access to the files of another host, by SFTP or a shell: the few operations that an install is made of."""

import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from agent.model.presence import Kind
from common.dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended there. *code* is -1 where a signal ended it."""

    code: int
    out: bytes
    err: bytes

    @property
    def said(self) -> str:
        """The last line of its error output; "" if there is none."""
        lines = self.err.decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


@dataclass(frozen=True, slots=True)
class Status:
    """The status of a file. *mode*: rights and kind, as in stat(2); *size*: bytes; *changed*: epoch seconds."""

    mode: int
    uid: int
    gid: int
    size: int
    changed: int

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)


class Access(Protocol):
    """Operations on files. Paths are absolute. Every method raises OSError: FileNotFoundError where the path leads to
    nothing."""

    @property
    def is_open(self) -> bool:
        """Does the other side still answer on this way?"""

    def statuses(self, paths: Sequence[str]) -> list[Status | None]:
        """The status of each path, without following a link; None where there is nothing."""

    def kinds(self, places: Sequence[str]) -> list[Kind]:
        """The kind of each place, behind links: a path, or the name of a program, which is looked for as in a shell."""

    def link(self, path: str) -> str:
        """Where a symbolic link leads to."""

    def look(self, path: str, most: int) -> tuple[Status, bytes]:
        """The status of a file, and its first *most* bytes. For a file that holds a private key: the public half in
        place of its bytes, as from `key_in`. No bytes where it is no regular file."""

    def create(self, path: str, content: bytes, mode: int, owner: tuple[int, int]) -> None:
        """Write a new file, also in the place of a leftover. It is closed to others until its rights are set, and on
        disk at the end. *owner*: user and group, -1 sets none."""

    def key_in(self, path: str) -> bytes:
        """The public half (PEM) of the private key that the file holds; b"" where it holds none. OSError where it holds
        something else as well."""

    def copy(self, source: str, path: str, mode: int, owner: tuple[int, int]) -> None:
        """Make a new file as `create` does, with the content of *source*, which never leaves that host."""

    def rename(self, moves: Mapping[str, str]) -> None:
        """Rename files, new names by old ones, in one step each; a file that has the new name is replaced. A connection
        that is cut leaves all of them renamed or none."""

    def remove(self, path: str) -> None:
        """Delete a file; a symbolic link itself, not what it leads to."""

    def names(self, folder: str) -> list[str]:
        """The names of the entries of *folder*."""


def status(access: Access, path: str) -> Status:
    """The status of one file. Raises OSError."""
    (found,) = access.statuses([path])
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return found


def steps(path: str) -> Iterator[str]:
    """The names on the way to *path* from the root."""
    return (name for name in path.split("/") if name not in {"", "."})
