"""Access control lists of files in the form of the kernel (acl(5), linux/posix_acl_xattr.h). Pure."""

import struct
from collections.abc import Iterator

_HEADER = struct.pack("<I", 2)  # the version
_ENTRY = struct.Struct("<HHI")  # tag, rights, number of a user or group
_USER, _GROUP_OF_FILE, _GROUP, _MASK = 0x02, 0x04, 0x08, 0x10


def without_inherited(access: bytes, inheritable: bytes) -> bytes:
    """The list *access* without the users and groups that the default list of the folder names with the same rights;
    b"" if no user or group is left."""
    inherited = set(_entries(inheritable))
    left = [one for one in _entries(access) if not (_is_named(one) and one in inherited)]
    return _HEADER + b"".join(_ENTRY.pack(*one) for one in left) if any(map(_is_named, left)) else b""


def group_rights(access: bytes) -> int:
    """The rights (0 to 7) that the file's own group really has: a mode shows the mask in their place."""
    rights = {tag: bits for tag, bits, _ in _entries(access)}
    return rights.get(_GROUP_OF_FILE, 0) & rights.get(_MASK, 7)


def _entries(access: bytes) -> Iterator[tuple[int, int, int]]:
    whole = len(access) - (len(access) - len(_HEADER)) % _ENTRY.size
    return _ENTRY.iter_unpack(access[len(_HEADER) : whole])


def _is_named(entry: tuple[int, int, int]) -> bool:
    return entry[0] in {_USER, _GROUP}
