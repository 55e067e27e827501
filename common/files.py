"""Files that must never be half written, too open, or written by two processes at once."""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from common.chunks import chunks
from common.errors import ConfigError, FileError, Finding, LockedError
from common.folders import Folder, Place, open_folder, open_place
from common.owners import heir, owner_hint
from common.replacing import NewContent, create, file_errors, replace_all, sync_together

LARGEST_READ = 1_000_000  # bytes: keys and certificates are far smaller
LARGEST_DOCUMENT = 64_000_000  # bytes of settings or of saved state: each may tell of thousands of certificates
_FOR_READING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
_SIDE_BY_SIDE = 100  # files that are open at once
_INSTANT = 0.02  # seconds


def write_atomic(file: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace *file* in one step (``common.replacing``). If root does it, the file is given to the owner of its folder.
    Raises FileError."""
    write_together({file: content}, mode=mode)


def write_together(contents: Mapping[Path, bytes], *, mode: int) -> None:
    """The same for several files, all or nothing as in :func:`replace_all`. All their folders are open at once."""
    folders: dict[Path, Folder] = {}
    new: dict[Place, NewContent] = {}
    with contextlib.ExitStack() as opened:
        for file, content in contents.items():
            with file_errors(file):
                if file.parent not in folders:
                    folders[file.parent] = opened.enter_context(open_folder(file.parent))
                folder = folders[file.parent]
                new[Place(folder, file.name)] = NewContent(content, mode, *heir(folder.status()))
        replace_all(new)


def write_private(file: Path, content: bytes) -> None:
    """Write *file* anew, 0600, in a folder of this user's own. It survives a power cut only after `sync_all`. Raises
    FileError."""
    with file_errors(file), open_folder(file.parent) as folder:
        folder.remove(file.name)
        descriptor = folder.open(file.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)


def sync_all(folder: Path) -> None:
    """Make all files of *folder* survive a power cut. Raises FileError."""
    with file_errors(folder), open_folder(folder) as opened:
        for some in chunks(opened.names(), _SIDE_BY_SIDE):
            with contextlib.ExitStack() as open_files:
                descriptors = {}
                for name in some:
                    descriptor = opened.open(name, _FOR_READING)
                    open_files.callback(os.close, descriptor)
                    descriptors[descriptor] = folder / name
                sync_together(descriptors)
        opened.sync()


def create_new(file: Path, content: bytes, *, mode: int, own: bool = False) -> None:
    """Write *file* only if it does not exist yet, never through a link. With *own* it belongs to this user, as a
    private key must; else a file that root writes belongs to the owner of its folder. Raises FileError."""
    with file_errors(file), open_folder(file.parent) as folder:
        owner = (-1, -1) if own else heir(folder.status())
        try:
            create(Place(folder, file.name), NewContent(content, mode, *owner))
        except FileExistsError as error:
            hint = "nothing was overwritten; move it away first if it is really no longer needed"
            raise FileError(f"{file} exists already", hint=hint) from error


def create_empty(file: Path) -> None:
    """Make *file*, empty and 0600, unless there is one. Raises OSError; FileError for a link that is not followed."""
    with open_folder(file.parent) as folder:
        _create_empty(folder, file.name)


def _create_empty(folder: Folder, name: str) -> None:
    with contextlib.suppress(FileExistsError):
        descriptor = folder.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            _bequeath(descriptor, folder)
        finally:
            os.close(descriptor)


def _bequeath(descriptor: int, folder: Folder) -> None:
    owner = heir(folder.status())
    if owner != (-1, -1):  # a unit may forbid fchown altogether
        os.fchown(descriptor, *owner)


def give(path: Path, uid: int, gid: int) -> None:
    """Give a file or folder to a user and a group; -1 changes nothing. Raises FileError; also for a link that others
    can change, and for a file that has a second name."""
    with file_errors(path, "give away"):
        place = open_place(path)
        with place.folder as folder:
            descriptor = folder.open(place.name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                hint = "look who made the other name: `find / -samefile` shows it"
                raise FileError(f"cannot give {path} away", why="the same file has another name too", hint=hint)
            os.fchown(descriptor, uid, gid)
        finally:
            os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make renames in *folder* survive a power cut. Raises OSError; FileError for a link that is not followed."""
    with open_folder(folder) as opened:
        opened.sync()


def make_private_folder(folder: Path) -> None:
    """Create *folder* for this user alone, 0700, and its parents as :func:`make_folder` does. Raises FileError."""
    make_folder(folder, mode=0o700)


def make_folder(folder: Path, *, mode: int = 0o755) -> None:
    """Create *folder*, and its parents with 0755; leave an existing one as it is. *mode* must let nobody else write
    into it: a writer of a parent can exchange the folder. Raises FileError."""
    with file_errors(folder, "create the folder"):
        _make(folder, mode)


def _make(folder: Path, mode: int) -> None:
    if folder.is_dir():
        return
    _make(folder.parent, 0o755)
    with open_folder(folder.parent) as parent:
        try:
            os.mkdir(folder.name, mode, dir_fd=parent.descriptor)
            is_new = True
        except FileExistsError:  # another process was faster; what is no folder fails to open below
            is_new = False
        descriptor = parent.open(folder.name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if is_new and not os.listdir(descriptor):  # one with entries is another, put in its place meanwhile
                _bequeath(descriptor, parent)
        finally:
            os.close(descriptor)


def read_regular(file: Path, limit: int = LARGEST_READ) -> bytes:
    """The content of a regular file of at most *limit* bytes. Raises OSError for any other. Never waits for a pipe or
    device."""
    return read_with_status(file, limit)[0]


def read_with_status(file: Path, limit: int = LARGEST_READ) -> tuple[bytes, os.stat_result]:
    """The same, and the status of the very file that was read: its mode, owner and times."""
    return _read_open(_open(file), file, limit)


@contextlib.contextmanager
def opened_regular(file: Path) -> Iterator[str]:
    """Yield a path that leads to the regular file *file*, as it is now, until the block ends: for a library that reads
    files by their paths. Raises OSError for what is no readable regular file."""
    descriptor = _open(file)
    try:
        status_of_regular(descriptor, file)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _open(file: Path) -> int:
    try:
        return os.open(file, _FOR_READING | os.O_CLOEXEC)
    except ValueError as error:  # NUL, or half of a surrogate pair: the name may have come out of a database
        raise OSError(errno.EINVAL, "no file can have this name", str(file)) from error


def status_of_regular(descriptor: int, file: Path | str) -> os.stat_result:
    """The status of the open *file*. Raises OSError for one that is not regular."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(file))
    return status


def _read_open(descriptor: int, file: Path, limit: int) -> tuple[bytes, os.stat_result]:
    try:
        status = status_of_regular(descriptor, file)
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            content = stream.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit} bytes", str(file))
    return content, status


def read_end(file: Path, most: int) -> tuple[bytes, os.stat_result]:
    """The last *most* bytes of a regular file that another program may be writing, and its status. Raises OSError;
    FileError for a link that is not followed. Never waits for a pipe or device."""
    place = open_place(file)
    with contextlib.closing(place.folder):
        descriptor = place.folder.open(place.name, _FOR_READING)
    try:
        status = status_of_regular(descriptor, file)
        return os.pread(descriptor, most, max(0, status.st_size - most)), status
    finally:
        os.close(descriptor)


def read_secret(file: Path, absent: str = "create it, and write the secret into it") -> bytes:
    """The content of a file that holds a secret. Raises ConfigError if it is absent, unreadable, writable for its group
    or open to everybody. A group may read it: a TSIG key shared with the name server is root:bind 0640 on Debian. A
    link that others than root and this user can exchange is not followed: it may lead to another's secret. *absent*:
    the hint where there is no file."""
    try:
        place = open_place(file)
        with contextlib.closing(place.folder):
            content, status = _read_open(place.folder.open(place.name, _FOR_READING), file, LARGEST_READ)
    except FileError as error:
        raise ConfigError(str(file), [Finding("", str(error))], hint=error.hint) from error
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        hint = owner_hint(file) if isinstance(error, PermissionError) else absent
        raise ConfigError(str(file), [Finding("", problem)], hint=hint) from error
    if status.st_mode & 0o027:
        problem = f"holds a secret but its mode is {stat.S_IMODE(status.st_mode):04o}"
        raise ConfigError(str(file), [Finding("", problem)], hint=f"chmod 0600 {file} (0640 at most)")
    return content


def read_password(file: Path) -> str:
    """The only line of a file that holds a password. Raises ConfigError as :func:`read_secret`, or without such a
    line."""
    try:
        password = read_secret(file).decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise _no_password(file, "is not UTF-8") from error
    if not password:
        raise _no_password(file, "is empty, where a password should be")
    if any(character < " " for character in password):
        raise _no_password(file, "holds more than one line, or control characters")
    return password


def _no_password(file: Path, problem: str) -> ConfigError:  # never with the content
    return ConfigError(str(file), [Finding("", problem)], hint="write the password into it, and nothing else")


@contextlib.contextmanager
def locked(file: Path, *, doing: str, skip: int = 0, on_full_disk: bool = False) -> Iterator[None]:
    """Lock *file* exclusively while the block runs. Raises LockedError at once if another process has the lock,
    FileError if the file cannot be written. The file then says which process has the lock and what it is *doing*,
    behind its first *skip* bytes, which stay. With *on_full_disk* a failure to write that is passed over. The kernel
    drops the lock with the process, so a killed run never blocks the next one."""
    with file_errors(file, "open the lock file"), open_folder(file.parent) as folder:
        _create_empty(folder, file.name)
        descriptor = folder.open(file.name, os.O_RDWR)
    try:
        try:
            _lock(descriptor)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 200, skip).decode("utf-8", "replace").strip()
            raise LockedError(
                f"another run holds {file}" + (f" ({holder})" if holder else ""),
                hint="let it finish, or look at what it waits for; never delete the file: a dead run holds nothing",
            ) from error
        with contextlib.suppress(OSError) if on_full_disk else file_errors(file):
            os.ftruncate(descriptor, skip)
            os.pwrite(descriptor, b"\n" * bool(skip) + f"process {os.getpid()}: {doing}\n".encode(), skip)
        yield
    finally:
        os.close(descriptor)


def is_locked(file: Path) -> bool:
    """Does a process hold the lock of *file*? False too where the file is not there or may not be read."""
    try:
        descriptor = os.open(file, _FOR_READING | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _lock(descriptor: int) -> None:
    """Take the lock. Raises BlockingIOError if another process has it for longer than :func:`is_locked` takes."""
    for last in (False, True):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if last:
                raise
            time.sleep(_INSTANT)
