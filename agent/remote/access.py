"""The files of another host, as far as the way to it goes: the few operations that installs are made of."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from typing import Protocol

from common.dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended there. *code* is -1 where a signal ended it."""

    code: int
    out: bytes
    err: bytes

    @property
    def said(self) -> str:
        """The last line that it complained with."""
        lines = self.err.decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


@dataclass(frozen=True, slots=True)
class Status:
    """*mode* with the kind of the file; *changed* in epoch seconds."""

    mode: int
    uid: int
    gid: int
    size: int
    changed: int

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)


class Access(Protocol):
    """Paths are absolute. Every method raises OSError: FileNotFoundError where the path leads to nothing."""

    @property
    def is_open(self) -> bool:
        """Is there still somebody who answers?"""

    def statuses(self, paths: Sequence[str]) -> list[Status | None]:
        """Those of the files themselves, no link is followed; None where there is nothing."""

    def link(self, path: str) -> str:
        """Where a symbolic link leads to."""

    def read(self, path: str, most: int) -> bytes:
        """The first *most* bytes."""

    def create(self, path: str, content: bytes, mode: int, owner: tuple[int, int]) -> None:
        """A new file, closed to others until its rights are set, and on disk. *owner*: user and group, -1 sets none."""

    def rename(self, old: str, new: str) -> None:
        """In one step; what *new* was is gone."""

    def remove(self, path: str) -> None:
        """Delete a file; a symbolic link itself, not what it leads to."""

    def names(self, folder: str) -> list[str]:
        """The names of the entries of *folder*."""


def status(access: Access, path: str) -> Status:
    """That of one file. Raises OSError."""
    (found,) = access.statuses([path])
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return found


def steps(path: str) -> Iterator[str]:
    """The names on the way from the root."""
    return (name for name in path.split("/") if name not in {"", "."})
