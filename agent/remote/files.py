"""The live files of another host: read, looked at, put in place and put back.

SFTP has no open folders, so somebody who may exchange what lies in a folder could do it between two steps. A path is
therefore walked first, once in each turn: every folder on it must belong to root or to the user who is logged in, and
let nobody else exchange what lies in it.
"""

import errno
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from agent.model.errors import HostLost
from agent.model.live_file import LiveFile
from agent.remote.access import Access, Status, status, steps
from agent.remote.session import Session
from common.errors import FileError
from common.files import LARGEST_READ
from common.replacing import is_temporary_of, temporary_name
from common.ssh import BROKEN

T = TypeVar("T")
_MOST_LINKS = 40
_NO_ID = 2**32 - 1  # chown(2): no change
_HINT = "look there at permissions, free space and mount options"
_READ = "look there at its permissions; a file with a key and more cannot be read from here: the key stays on its host"


class RemoteFiles:
    """The Files of ``agent.journey.ports``, whose words say what each method promises. The file of a private key has
    the public half as its content, because the key stays on its host; one with more than a key is a FileError."""

    is_rehearsal = False

    def __init__(self, session: Session):
        self._session = session
        self._real: dict[Path, str] = {}
        self._passed: dict[str, Status | None] = {}  # what lies on the way to these
        self._owners = frozenset[int]()  # of folders in which we write: root, and the user who is logged in

    def stamp(self, file: Path) -> str:
        try:
            found = self._session.files(lambda access: _followed(access, str(file)))
        except HostLost:  # that is no fact about the file: what was refused would be tried again
            raise
        except (OSError, FileError):
            return "cannot be looked at"
        return f"{found.changed} {found.size} {found.mode}"

    def digest(self, file: Path) -> str:
        live = self.read(file)
        return live.digest if live else ""

    def read(self, file: Path) -> LiveFile | None:
        with self._errors("read", file, hint=_READ):
            real = self._walked(file)
            try:
                return self._session.files(lambda access: _read(access, real))
            except FileNotFoundError:
                return None

    def locate(self, file: Path) -> Path:
        with self._errors("find", file):
            return Path(self._walked(file))

    def is_dangling(self, file: Path) -> bool:
        with self._errors("look at", file):
            real, entry = self._walked(file), posixpath.join(self._walked(file.parent), file.name)
            return real != entry and not self._is_there(real)

    def owner_ids(self, owner: str, group: str) -> tuple[int, int]:
        return self._number("user", owner, "/etc/passwd"), self._number("group", group, "/etc/group")

    def replace(self, contents: Mapping[Path, LiveFile]) -> None:
        for_real = {}
        for file, new in contents.items():
            with self._errors("write", file):
                for_real[self._walked(file)] = new
        beside = _temporaries(for_real)  # those of a connection that was lost are written once more
        with self._errors("write", *contents):
            self._session.files(lambda access: _replace(access, for_real, beside))

    def restore(self, old: Mapping[Path, LiveFile | None]) -> None:
        for_real = {}
        for file, was in old.items():
            with self._errors("write", file):
                for_real[self._walked(file, follow=False)] = was
        with self._errors("put back", *old):
            self._session.files(lambda access: _restore(access, for_real))

    def release(self) -> None:
        self._real.clear()
        self._passed.clear()

    def _walked(self, file: Path, *, follow: bool = True) -> str:
        """The real path of *file*. Raises OSError, FileError."""
        if file not in self._real:
            if not self._owners:
                self._owners = frozenset({0, self._own_number() if self._session.user != "root" else 0})
            found = self._session.files(lambda access: _walk(access, str(file), follow, self._owners, self._passed))
            self._real[file] = self._real[Path(found)] = found
        return self._real[file]

    def _is_there(self, real: str) -> bool:
        try:
            self._session.files(lambda access: status(access, real))
        except FileNotFoundError:
            return False
        return True

    def _own_number(self) -> int:
        """The number of the user who is logged in, whom a directory may know and not /etc/passwd."""
        ended = self._session.execute("id -u")
        if not ended.out.strip().isdigit():
            what = f"{self._session.name} does not tell the number of its user {self._session.user}"
            raise FileError(what, why=ended.said, hint="`id -u` has to tell it there")
        return int(ended.out)

    def _number(self, kind: str, name: str, table: str) -> int:
        """The number of a user or a group there, who may be a number already; -1 for ""."""
        if not name:
            return -1
        with self._errors("read", Path(table)):
            _, known = self._session.files(lambda access: access.look(table, LARGEST_READ))
        number = _id_in(known, name, -1)
        if number == -1 and name.isascii() and name.isdecimal() and int(name) < _NO_ID:
            number = int(name)
        if number == -1:
            hint = "name another owner or group in agent.toml, or its number"
            raise FileError(f"there is no {kind} {name!r} in {table} of {self._session.name}", hint=hint)
        return number

    @contextmanager
    def _errors(self, what: str, *files: Path, hint: str = _HINT) -> Iterator[None]:
        """Turn an OSError of the block into a FileError that names the files and their host."""
        try:
            yield
        except OSError as error:
            where = f"cannot {what} {', '.join(map(str, files))} on {self._session.name}"
            raise FileError(where, why=error.strerror or str(error), hint=hint) from error


class ReadOnlyRemoteFiles(RemoteFiles):
    """Live files stay as they are, for a rehearsal."""

    is_rehearsal = True

    def replace(self, contents: Mapping[Path, LiveFile]) -> None:
        """They stay."""

    def restore(self, old: Mapping[Path, LiveFile | None]) -> None:
        """They stay."""


def _id_in(table: bytes, name: str, default: int) -> int:
    """The third field of the line of *name* in passwd(5) or group(5); *default* where there is no such line."""
    for line in table.decode("utf-8", "replace").split("\n"):
        fields = line.split(":")
        if fields[0] == name and len(fields) > 2 and fields[2].isdecimal():
            return int(fields[2])
    return default


def _walk(access: Access, path: str, follow: bool, may_own: frozenset[int], known: dict[str, Status | None]) -> str:
    """The path behind all links; without *follow*, a link at its end is left. *known*: what earlier walks have seen; it
    takes what this one sees. Raises OSError, FileError."""
    todo, at, links = list(steps(path)), "/", 0
    _look_along(access, path, known)
    while todo:
        _refuse_open(known[at] or status(access, at), at, may_own)
        name = todo.pop(0)
        if name == "..":
            at = posixpath.dirname(at)
            continue
        here = posixpath.join(at, name)
        if here not in known:
            _look_along(access, here, known)
        found = known[here]
        if found is None and not todo:
            return here
        if found is not None and found.is_link and (todo or follow):
            _refuse_link(found, here, may_own)
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            target = access.link(here)
            at = "/" if target.startswith("/") else at
            todo = [*steps(target), *todo]
            continue
        at = here
    return at


def _look_along(access: Access, path: str, known: dict[str, Status | None]) -> None:
    """Look at *path* and everything above it that is not *known*, by one question: a host may be far."""
    paths = [one for one in (path, *map(str, Path(path).parents)) if one not in known]
    if paths:
        known |= zip(paths, access.statuses(paths), strict=True)


def _refuse_open(folder: Status, path: str, may_own: frozenset[int]) -> None:
    """Raises FileError for a folder in which others can exchange files. In a sticky one they can change only theirs."""
    others = folder.mode & (stat.S_IWGRP | stat.S_IWOTH) and not folder.mode & stat.S_ISVTX
    if folder.uid not in may_own or others:
        hint = "give it to root, mode 0755, or log in as its owner; nothing is written where others could redirect it"
        raise FileError(f"others than root can exchange the files in {path} of that host", hint=hint)


def _refuse_link(link: Status, path: str, may_own: frozenset[int]) -> None:
    """Raise FileError for a link that belongs to somebody else: in a sticky folder he can exchange it."""
    if link.uid not in may_own:
        why = f"the user {link.uid}, to whom it belongs, can make it lead elsewhere"
        hint = "put the file or folder itself in its place, or give the link to root"
        raise FileError(f"{path} of that host is a symbolic link that is not followed", why=why, hint=hint)


def _followed(access: Access, path: str) -> Status:
    for _ in range(_MOST_LINKS):
        found = status(access, path)
        if not found.is_link:
            return found
        path = posixpath.join(posixpath.dirname(path), access.link(path))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _read(access: Access, path: str) -> LiveFile:
    found, content = access.look(path, LARGEST_READ + 1)
    if not stat.S_ISREG(found.mode):
        raise FileError(f"{path} is not a regular file there", hint="name another path in agent.toml")
    if len(content) > LARGEST_READ:
        hint = "no certificate is that long: name another path in agent.toml, or move that file away"
        raise FileError(f"{path} is larger than {LARGEST_READ} bytes there", hint=hint)
    return LiveFile(content, stat.S_IMODE(found.mode), found.uid, found.gid)


def _temporaries(paths: Iterable[str]) -> dict[str, str]:
    """A new name for a temporary beside each of the *paths*."""
    places = {path: posixpath.split(path) for path in paths}
    return {path: posixpath.join(folder, temporary_name(name)) for path, (folder, name) in places.items()}


def _replace(access: Access, contents: Mapping[str, LiveFile], beside: Mapping[str, str]) -> None:
    """Put *contents* in place. Every temporary is there before the first rename; *beside* names it for each path."""
    temporaries: dict[str, str] = {}
    try:
        for path, new in contents.items():
            temporary = beside[path]
            temporaries[temporary] = path
            if new.is_key_elsewhere:
                _copy_key(access, path, temporary, new)
            else:
                access.create(temporary, new.content, new.mode, (new.uid, new.gid))
        if temporaries:
            access.rename(temporaries)
        temporaries.clear()
    finally:
        for temporary in temporaries:
            with suppress(OSError):
                access.remove(temporary)


def _copy_key(access: Access, path: str, temporary: str, new: LiveFile) -> None:
    """Copy the key that *new* means to *temporary*. Where a next key comes in, keep the key at *path* beside it."""
    kept, was = _kept(path), access.key_in(path)
    if new.taken_from is not None and was != new.content:  # else a connection was lost when all was done
        access.copy(path, kept, stat.S_IRUSR | stat.S_IWUSR, (-1, -1))
        _refuse_other_key(access, kept, was)
    access.copy(str(new.taken_from or kept), temporary, new.mode, (new.uid, new.gid))
    _refuse_other_key(access, temporary, new.content)


def _kept(path: str) -> str:
    """The file that keeps the previous key until the install has ended."""
    folder, name = posixpath.split(path)
    return posixpath.join(folder, f".{name}.before")


def _refuse_other_key(access: Access, path: str, public: bytes) -> None:
    if access.key_in(path) != public:
        raise OSError(errno.EIO, f"{path} holds another key than a moment ago")


def _restore(access: Access, old: Mapping[str, LiveFile | None]) -> None:
    """Put the *old* files back. Temporaries go first: a rename that a lost connection has left under way then finds
    nothing."""
    for path in old:
        folder, name = posixpath.split(path)
        for leftover in filter(partial(is_temporary_of, name), access.names(folder)):
            try:
                access.remove(posixpath.join(folder, leftover))
            except BROKEN:
                raise
            except OSError:
                continue  # it stays
    changed = {path: was for path, was in old.items() if was is not None and not _is(access, path, was)}
    _replace(access, changed, _temporaries(changed))
    for path, was in old.items():
        if was is None or was.is_key_elsewhere:
            with suppress(FileNotFoundError):
                access.remove(path if was is None else _kept(path))


def _is(access: Access, path: str, was: LiveFile) -> bool:
    try:
        return _read(access, path) == was
    except (OSError, FileError):
        return False
