"""The live files of this machine: read, looked at, put in place and put back.

A path is walked once in each turn, and the folder that was found stays open until the turn ends. To exchange a folder
between two steps has no effect on us (``common.folders``).
"""

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from agent.model.live_file import ACCESS_LIST, LiveFile
from common.dataclasses import replace
from common.errors import FileError
from common.files import LARGEST_READ
from common.folders import Folder, Place, open_folder, open_place
from common.owners import owner_ids
from common.replacing import NewContent, file_errors, remove_leftovers, replace_all

_DEFAULT_LIST = "system.posix_acl_default"
_KEPT_ATTRIBUTES = {ACCESS_LIST, "security.selinux"}
_READ = "run as the user that may read it, usually root"


class LocalFiles:
    """The Files of ``agent.journey.ports``, whose words say what each method promises."""

    is_rehearsal = False

    def __init__(self) -> None:
        self._places: dict[Path, Place] = {}
        self._folders: dict[Path, Folder] = {}  # one for all files in it: a service may have thousands

    def stamp(self, file: Path) -> str:
        try:
            status = file.stat()
        except OSError as error:
            return f"error {error.errno}"
        return f"{status.st_ino} {status.st_mtime_ns} {status.st_size} {status.st_mode}"

    def digest(self, file: Path) -> str:
        live = self.read(file)
        return live.digest if live else ""

    def read(self, file: Path) -> LiveFile | None:
        try:
            return _read(self._place(file))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FileError(f"cannot read {file}", why=error.strerror or str(error), hint=_READ) from error

    def locate(self, file: Path) -> Path:
        try:
            return self._place(file).path
        except OSError as error:
            hint = "create it, or run as the user that may enter it"
            what = f"the folder {file.parent} does not exist"
            if not isinstance(error, FileNotFoundError):
                what = f"the folder {file.parent} cannot be entered: {error.strerror}"
            raise FileError(what, hint=hint) from error

    def is_dangling(self, file: Path) -> bool:
        with file_errors(file, "look at"):
            place = self._place(file)
            return place.linked and not place.is_there()

    def owner_ids(self, owner: str, group: str) -> tuple[int, int]:
        try:
            return owner_ids(owner, group)
        except ValueError as error:
            raise FileError(str(error), hint="name another owner or group in agent.toml") from error

    def replace(self, contents: Mapping[Path, LiveFile]) -> None:
        replace_all({self._entry(file): _new(content) for file, content in contents.items()})

    def restore(self, old: Mapping[Path, LiveFile | None]) -> None:
        entries = {self._entry(file): was for file, was in old.items()}
        for place in entries:
            with suppress(OSError):  # a disk that is read-only by now: the files may be as they were all the same
                remove_leftovers(place)
        kept = {place: was for place, was in entries.items() if was is not None}
        replace_all({place: _new(was) for place, was in kept.items() if not _is(place, was)})
        for place in entries.keys() - kept.keys():
            with file_errors(place.path, "remove"):
                place.folder.remove(place.name)
                place.folder.sync()

    def release(self) -> None:
        for folder in self._folders.values():
            folder.close()
        self._folders.clear()
        self._places.clear()

    def _place(self, file: Path) -> Place:
        """The place that *file* leads to, links followed. Raises OSError, FileError."""
        return self._places.get(file) or self._kept(file, open_place(file))

    def _entry(self, file: Path) -> Place:
        """The place that *file* led to in this turn; else *file* itself without following a link, because a journal has
        real paths. Raises FileError."""
        with file_errors(file):
            return self._places.get(file) or self._kept(file, Place(open_folder(file.parent), file.name))

    def _kept(self, file: Path, place: Place) -> Place:
        """The place under both of its paths, in the folder that was found first where two paths lead to one folder."""
        folder = self._folders.setdefault(place.folder.path, place.folder)
        if folder is not place.folder:
            place.folder.close()
        kept = self._places.setdefault(place.path, replace(place, folder=folder))
        self._places[file] = kept
        return kept


def _read(place: Place) -> LiveFile:
    """The file at *place*. Raises OSError; FileError for one that is not regular, or too large."""
    descriptor = place.folder.open(place.name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileError(f"{place.path} is not a regular file", hint="name another path in agent.toml")
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            content = stream.read(LARGEST_READ + 1)
        if len(content) > LARGEST_READ:
            hint = "no certificate is that long: name another path in agent.toml, or move that file away"
            raise FileError(f"{place.path} is larger than {LARGEST_READ} bytes", hint=hint)
        attributes = _attributes(descriptor)
    finally:
        os.close(descriptor)
    inheritable = place.folder.attribute(_DEFAULT_LIST) if ACCESS_LIST in attributes else b""
    mode = stat.S_IMODE(status.st_mode)
    owner = (status.st_uid, status.st_gid)
    return LiveFile(content, mode, *owner, attributes, inheritable, exchangeable=not place.folder.is_safe)


def _is(place: Place, was: LiveFile) -> bool:
    """A file that cannot be read is not as it was, and must not keep the old content from coming back."""
    try:
        return _read(place) == was
    except (OSError, FileError):
        return False


def _attributes(descriptor: int) -> dict[str, bytes]:
    try:
        return {name: os.getxattr(descriptor, name) for name in os.listxattr(descriptor) if name in _KEPT_ATTRIBUTES}
    except OSError:  # a file system without them
        return {}


def _new(content: LiveFile) -> NewContent:
    return NewContent(content.content, content.mode, content.uid, content.gid, content.attributes)
