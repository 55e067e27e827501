"""A file of a service, as it is now or as the agent is to write it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LiveFile:
    """Content, mode, owner, extended attributes (access control list, SELinux context). *uid*, *gid*: -1 sets none."""

    content: bytes = field(repr=False)  # may hold a private key
    mode: int
    uid: int = -1
    gid: int = -1
    attributes: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return digest(self.content)


def digest(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()
