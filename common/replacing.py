"""Files are replaced in one step: a temporary beside them with its final rights, fsync, rename, fsync of the folder.

The folder is open meanwhile (``common.folders``), so that all of this happens in one and the same folder.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from errno import EBUSY, EIO, ELOOP, ENODATA, ENOTSUP, EROFS
from pathlib import Path
from threading import Thread

from common.chunks import chunks
from common.dataclasses import dataclass, field
from common.errors import FileError
from common.folders import Folder, Place
from common.owners import IN_A_UNIT, owner_hint

_ACCESS_LIST = "system.posix_acl_access"  # acl(5)
_SIDE_BY_SIDE = 100  # files that are open at once
_SYNCING = 16  # threads
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL


@dataclass(frozen=True, slots=True)
class NewContent:
    """The new state of a file. *uid* and *gid*: -1 for those that the system gives. *attributes*: the extended ones,
    such as the access control list and the SELinux context; None leaves those that the folder gives. Attributes without
    an access control list mean a file without one: the default list of its folder gives no rights then."""

    content: bytes
    mode: int
    uid: int = -1
    gid: int = -1
    attributes: Mapping[str, bytes] | None = field(default_factory=dict)


def replace_all(contents: Mapping[Place, NewContent]) -> None:
    """Replace several files, all or nothing as far as a file system allows. Every temporary is written and synced
    before the first rename, so that a full disk or a read-only folder changes no file at all. A reader sees the old
    content or the new, whatever instruction a crash hits. A link is replaced, not followed. Raises FileError."""
    with ExitStack() as stack:
        temporaries: dict[Place, str] = {}
        for some in chunks(contents.items(), _SIDE_BY_SIDE):
            temporaries |= _staged_together(some, stack)
        for place, temporary in temporaries.items():
            folder = place.folder.descriptor
            with file_errors(place.path):
                os.rename(temporary, place.name, src_dir_fd=folder, dst_dir_fd=folder)
        for folders in chunks(dict.fromkeys(place.folder for place in temporaries), _SIDE_BY_SIDE):
            _sync_folders(folders)


@contextmanager
def file_errors(file: Path, what: str = "write") -> Iterator[None]:
    """Turn an OSError of the block into a FileError, which says why and what to do. *what*: the block's act on *file*,
    for "cannot … FILE"."""
    try:
        yield
    except OSError as error:
        raise FileError(f"cannot {what} {file}", why=error.strerror or str(error), hint=_hint(error, file)) from error


def _staged_together(items: Sequence[tuple[Place, NewContent]], staged: ExitStack) -> dict[Place, str]:
    """Write and sync a temporary for each; return their names. The end of *staged* removes what is left of them. Raises
    FileError."""
    temporaries, descriptors = {}, {}
    with ExitStack() as opened:
        for place, new in items:
            with file_errors(place.path):
                temporaries[place], descriptors[place] = staged.enter_context(_temporary(place))
                opened.callback(os.close, descriptors[place])
                _fill(descriptors[place], new)
        sync_together({descriptor: place.path for place, descriptor in descriptors.items()})
    return temporaries


def _sync_folders(folders: Sequence[Folder]) -> None:
    """Make renames in all *folders* survive a power cut. Raises FileError."""
    with ExitStack() as opened:
        descriptors = {}
        for folder in folders:
            with file_errors(folder.path):
                descriptors[opened.enter_context(folder.readable())] = folder.path
        sync_together(descriptors)


def sync_together(files: Mapping[int, Path]) -> None:
    """Sync *files* (paths by open descriptors), so that they survive a power cut. Side by side they share the commits
    of the file system's journal: hundreds take a fifth of the time. Raises FileError."""
    left, failures = list(files.items()), list[FileError]()

    def sync() -> None:
        while left:
            try:
                descriptor, file = left.pop()
            except IndexError:  # another thread took the last one
                return
            try:
                with file_errors(file):
                    os.fsync(descriptor)
            except FileError as error:
                failures.append(error)

    threads = [Thread(target=sync) for _ in range(min(_SYNCING, len(files)) - 1)]
    for thread in threads:
        thread.start()
    sync()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@contextmanager
def _temporary(place: Place) -> Iterator[tuple[str, int]]:
    """Yield the name of a new temporary beside *place*, and its descriptor, which the caller closes. The end of the
    block removes the file, unless the disk has failed: then the block itself has raised. The name starts with a dot
    because some daemons load every other file of a folder. Raises OSError."""
    name = temporary_name(place.name)
    descriptor = place.folder.open(name, _NEW_FILE)
    try:
        yield name, descriptor
    finally:
        with suppress(OSError):
            place.folder.remove(name)


def temporary_name(name: str) -> str:
    """A new name for a temporary of the file *name*. It is random: processes in containers may share a folder and have
    the same number."""
    return f".{name}.{os.urandom(4).hex()}.tmp"


def is_temporary_of(name: str, other: str) -> bool:
    """Is *other* the name of a temporary of the file *name*? True too for the names of earlier versions, which had the
    number of the process in them."""
    return re.fullmatch(rf"\.{re.escape(name)}\.[0-9a-f]+\.tmp", other) is not None


def _fill(descriptor: int, new: NewContent) -> None:
    """Give the open file its rights, then its content. Raises OSError."""
    _give_rights(descriptor, new)
    with os.fdopen(descriptor, "wb", closefd=False) as stream:
        stream.write(new.content)


def create(place: Place, new: NewContent) -> None:
    """Make the file, whole or not at all. Raises FileExistsError if anything is there, else FileError or OSError."""
    folder = place.folder.descriptor
    with ExitStack() as staged:
        temporary = _staged_together([(place, new)], staged)[place]  # a link never replaces, unlike a rename
        os.link(temporary, place.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    place.folder.sync()


def remove_leftovers(place: Place) -> None:
    """Remove the temporaries of *place* that killed processes have left. Raises OSError."""
    for name in place.folder.names():
        if is_temporary_of(place.name, name):
            with suppress(IsADirectoryError):  # no temporary of ours
                place.folder.remove(name)


def _give_rights(descriptor: int, new: NewContent) -> None:
    """Set owner, attributes and mode, in this order: chown and an access control list may both change the mode. The
    file is still empty."""
    if new.attributes is not None and _ACCESS_LIST not in new.attributes:
        try:
            os.removexattr(descriptor, _ACCESS_LIST)
        except OSError as error:
            if error.errno not in {ENODATA, ENOTSUP}:  # it has none; the file system knows none
                raise
    if (new.uid, new.gid) != (-1, -1):  # a unit may forbid fchown altogether
        os.fchown(descriptor, new.uid, new.gid)
    for name, value in (new.attributes or {}).items():
        if _attribute(descriptor, name) == value:
            continue
        try:
            os.setxattr(descriptor, name, value)
        except OSError:  # a unit may not set labels; without SELinux nobody needs them
            if name == _ACCESS_LIST:
                raise
    os.fchmod(descriptor, new.mode)


def _attribute(descriptor: int, name: str) -> bytes:
    with suppress(OSError):
        return os.getxattr(descriptor, name)
    return b""


def _hint(error: OSError, file: Path) -> str:
    if isinstance(error, PermissionError):
        return owner_hint(file)
    if isinstance(error, FileNotFoundError):
        return "create the folder first"
    if error.errno == ELOOP:
        return "it is a symbolic link: put the file itself in its place"
    if error.errno == EBUSY:
        return (
            "if the file is a mount of its own, as in a container, mount its folder in its place: it has to be replaced"
        )
    if error.errno == EROFS:
        return f"mount that file system for writing; {IN_A_UNIT}"
    if error.errno == EIO:
        return "its disk or file server has failed: see what the kernel says of it (dmesg)"
    return "look at free space, mount options and permissions of that folder"
