"""A file of a service, as it is now or as the agent is to write it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

ACCESS_LIST = "system.posix_acl_access"  # the attribute that holds an access control list: acl(5)


@dataclass(frozen=True, slots=True)
class LiveFile:
    """Content, mode, owner, extended attributes (access control list, SELinux context). *uid*, *gid*: -1 sets none;
    *attributes*: None leaves them to the folder. *inheritable*: the default list of the folder of a file that has an
    access control list."""

    content: bytes = field(repr=False)  # may hold a private key
    mode: int
    uid: int = -1
    gid: int = -1
    attributes: Mapping[str, bytes] | None = field(default_factory=dict)
    inheritable: bytes = field(default=b"", compare=False)

    @property
    def digest(self) -> str:
        return digest(self.content)


def digest(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()
