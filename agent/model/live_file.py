"""A file of a service, as it is now or as the agent is to write it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from common.dataclasses import dataclass, field

ACCESS_LIST = "system.posix_acl_access"  # the attribute that holds an access control list: acl(5)


@dataclass(frozen=True, slots=True)
class LiveFile:
    """A file as it was read, or is to be written. *attributes* are extended ones: access control list, SELinux context;
    None leaves them to the folder.

    The file of a private key on another host has the public half as its content. To write it is to copy the key there:
    *taken_from* the file of a next key, else from what was kept beside it when that came."""

    content: bytes = field(repr=False)  # may hold a private key
    mode: int
    uid: int = -1  # -1 sets none, here and below
    gid: int = -1
    attributes: Mapping[str, bytes] | None = field(default_factory=dict)
    inheritable: bytes = field(default=b"", compare=False)  # of one that has an access list: its folder's default list
    exchangeable: bool = field(default=False, compare=False)  # others than root and our user can put another file there
    taken_from: Path | None = field(default=None, compare=False)

    @property
    def digest(self) -> str:
        return digest(self.content)

    @property
    def is_key_elsewhere(self) -> bool:
        """Is it the file of a private key on another host?"""
        return self.content.startswith(b"-----BEGIN PUBLIC KEY-----")

    @property
    def facts(self) -> str:
        """Digest, user, group and mode in one text."""
        return f"{self.digest} {self.uid} {self.gid} {self.mode:o}"


@dataclass(frozen=True, slots=True)
class Planned:
    """A file as it is, None where there is none, and as an install is to write it."""

    live: LiveFile | None
    new: LiveFile


def digest(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()
