"""The place of a challenge file in a webroot (RFC 8555 §8.3), and how it is made and removed; locally and over SFTP.

No symbolic link below the webroot is followed: certfleet may be root, and a user who may write to the web site must not
make it write or delete elsewhere. A file is removed only if its content is ours.
"""

import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from shlex import quote
from typing import Protocol

import structlog

from common.owners import IN_A_UNIT, own_name
from issuer.model.errors import WebrootError
from issuer.webroot.ledger import MadeFolders

log = structlog.get_logger()
WELL_KNOWN = (".well-known", "acme-challenge")
FOLDER_MODE = 0o755
FILE_MODE = 0o644
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,240}")  # a file name has at most 255 bytes; the temporary adds five
_TRIES = 3


class EntryKind(Enum):
    ABSENT = "absent"
    FOLDER = "a folder"
    FILE = "a file"
    OTHER = "neither file nor folder, perhaps a symbolic link"


def kind_of(mode: int) -> EntryKind:
    """The kind of an entry that is there, by its st_mode."""
    if stat.S_ISDIR(mode):
        return EntryKind.FOLDER
    return EntryKind.FILE if stat.S_ISREG(mode) else EntryKind.OTHER


class Folder(Protocol):
    """An open folder. Names are single components. Nothing follows a link. Every method may raise OSError."""

    @property
    def path(self) -> str:
        """The absolute path of the folder, for people."""

    def close(self) -> None:
        """Give up what the folder holds open."""

    def writable(self) -> bool:
        """Can anything be created in it? Leaves no file behind."""

    def kind(self, name: str) -> EntryKind:
        """The kind of the entry *name*."""

    def make(self, name: str) -> bool:
        """Create a folder, mode 0755. False when there is one already."""

    def enter(self, name: str) -> "Folder":
        """Open the folder *name* in it."""

    def write(self, name: str, content: bytes) -> None:
        """Create the file, mode 0644, or replace it in one step."""

    def read(self, name: str, limit: int) -> bytes | None:
        """The first *limit* bytes of a regular file; None when there is none of that name."""

    def delete(self, name: str) -> None:
        """Delete a file; no error when there is none."""

    def drop(self, name: str) -> bool:
        """Remove an empty folder; False when it is not empty."""


def check(root: Folder) -> None:
    """Raise WebrootError if no challenge file could be made below *root*. Leaves nothing behind."""
    with _entered(root) as folders:
        if not folders[-1].writable():
            what = f"certfleet may not write in {folders[-1].path}"
            folder = quote("/".join([root.path.rstrip("/"), *WELL_KNOWN]))
            hint = f"run `install -d -o {own_name()} {folder}` there as root"
            hint += f", or over SFTP log in as the owner of the web site; {IN_A_UNIT}"
            raise WebrootError(what, why="Permission denied", hint=hint)


def put(root: Folder, token: str, content: str, made: MadeFolders) -> None:
    """Make the challenge file and the missing folders above it. Raises WebrootError, OSError, FileError."""
    _check_token(token)
    for attempt in range(1, _TRIES + 1):
        try:
            _put(root, token, content.encode(), made)
            return
        except FileNotFoundError:  # another issuer has just removed the empty folder
            if attempt == _TRIES:
                raise


def take(root: Folder, token: str, content: str, made: MadeFolders) -> None:
    """Remove the challenge file if it is ours, then the empty folders that we made. Raises OSError, FileError."""
    _check_token(token)
    try:
        with _entered(root) as folders:
            if len(folders) > len(WELL_KNOWN):
                _take_file(folders[-1], token, content.encode(), partial=False)
                _take_file(folders[-1], temporary_name(token), content.encode(), partial=True)
            else:
                gone(root.path)
            for parent, name in reversed(list(zip(folders, WELL_KNOWN, strict=False))):
                path = f"{parent.path}/{name}"
                if not made.holds(path) or (parent.kind(name) is EntryKind.FOLDER and not parent.drop(name)):
                    break
                made.change(path, made=False)
    except FileNotFoundError:
        return  # another program removed it
    except WebrootError as error:  # there is a link in the place of a folder: our file is not behind it
        log.warning("challenge.unreachable", webroot=root.path, error=str(error))


def gone(webroot: str) -> None:
    """Log that the folder of a challenge file is gone: perhaps the file system of the webroot is not mounted."""
    log.warning("challenge.gone", webroot=webroot)


def take_seen(root: Folder, token: str, content: str, made: MadeFolders) -> None:
    """As :func:`take`, for a file that another machine wrote. Raises WebrootError unless the file is visible here."""
    _check_token(token)
    with _entered(root) as folders:
        found = folders[-1].read(token, len(content) + 1) if len(folders) > len(WELL_KNOWN) else None
    if found != content.encode():
        raise WebrootError(f"it is not in {root.path} of this machine")
    take(root, token, content, made)


def temporary_name(token: str) -> str:
    """The same name in each process, so that the temporary file of a killed one is found."""
    return f".{token}.tmp"


def _put(root: Folder, token: str, content: bytes, made: MadeFolders) -> None:
    folders = [root]
    try:
        for name in WELL_KNOWN:
            parent = folders[-1]
            if parent.kind(name) is EntryKind.ABSENT:
                path = f"{parent.path}/{name}"
                made.change(path, made=True)
                if not parent.make(name):
                    made.change(path, made=False)
            folders.append(_enter(parent, name))
        folders[-1].write(token, content)
    finally:
        _close(folders)


def _take_file(folder: Folder, name: str, content: bytes, *, partial: bool) -> None:
    """Delete *name* if it holds *content*, or with *partial* a beginning of it. Other files stay."""
    found = folder.read(name, len(content) + 1)
    if found is not None and (content.startswith(found) if partial else found == content):
        folder.delete(name)
    elif folder.kind(name) is not EntryKind.ABSENT:
        log.warning("challenge.foreign", file=f"{folder.path}/{name}")


@contextmanager
def _entered(root: Folder) -> Iterator[list[Folder]]:
    """*root* and the folders of WELL_KNOWN below it, as far as they exist."""
    folders = [root]
    try:
        for name in WELL_KNOWN:
            if folders[-1].kind(name) is EntryKind.ABSENT:
                break
            folders.append(_enter(folders[-1], name))
        yield folders
    finally:
        _close(folders)


def _enter(parent: Folder, name: str) -> Folder:
    kind = parent.kind(name)
    if kind is not EntryKind.FOLDER and kind is not EntryKind.ABSENT:
        raise WebrootError(
            f"{parent.path}/{name} is not a folder",
            why=f"it is {kind.value}",
            hint="certfleet follows no links inside a webroot: make it a real folder, or name the real webroot",
            reference="webroot-layout",
        )
    return parent.enter(name)


def _close(folders: list[Folder]) -> None:
    for folder in folders[1:]:
        folder.close()


def _check_token(token: str) -> None:
    if not _TOKEN.fullmatch(token):
        raise WebrootError("the CA's token cannot be a file name", why=f"it has {len(token)} characters")
