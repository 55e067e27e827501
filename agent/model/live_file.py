"""A file of a service, as it is or as it is to become."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LiveFile:
    """Content, mode, owner and extended attributes (access control list, SELinux context). -1: as it comes."""

    content: bytes = field(repr=False)  # may hold a key
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
