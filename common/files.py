"""Files that must never be half written, too open, or written by two processes at once."""

import contextlib
import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import ConfigError, FileError, Finding, LockedError
from common.owners import IN_A_UNIT, heir, owner_hint

LARGEST_READ = 1_000_000  # bytes: settings, keys and certificates are far smaller
_INSTANT = 0.02  # seconds
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def write_atomic(file: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace *file* in one step: dot-temporary beside it, final mode and owner, fsync, rename, fsync of folder. A
    reader sees the old content or the new, whatever instruction a crash hits. The temporary name starts with a dot
    because some daemons load every other file of a folder. Raises FileError."""
    with _file_errors(file):
        temporary = _write_temporary(file, NewContent(content, mode, *heir(file.parent)))
        _rename_all({file: temporary})


@dataclass(frozen=True, slots=True)
class NewContent:
    """The new state of a file. *attributes* are extended ones: access control lists, SELinux contexts."""

    content: bytes
    mode: int
    uid: int = -1
    gid: int = -1
    attributes: Mapping[str, bytes] = field(default_factory=dict)


def write_all_atomic(contents: Mapping[Path, NewContent]) -> None:
    """Replace several files, all or nothing as far as a file system allows. Every temporary is written and synced
    before the first rename, so that a full disk or a read-only folder changes no file at all. Raises FileError."""
    temporaries: dict[Path, Path] = {}
    try:
        for file, new in contents.items():
            with _file_errors(file):
                temporaries[file] = _write_temporary(file, new)
    except BaseException:
        _unlink_all(temporaries.values())
        raise
    with _file_errors(next(iter(contents), Path())):
        _rename_all(temporaries)


def leftover_temporaries(file: Path) -> list[Path]:
    """Temporaries for *file* that a killed process has left beside it."""
    pattern = re.compile(rf"\.{re.escape(file.name)}\.\d+\.tmp")
    try:
        return [entry for entry in file.parent.iterdir() if pattern.fullmatch(entry.name)]
    except OSError:
        return []


def _write_temporary(file: Path, new: NewContent) -> Path:
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    _unlink_all([temporary])  # of a killed process with our number; no living process has it
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(new.content)
            if (new.uid, new.gid) != (-1, -1):
                os.fchown(descriptor, new.uid, new.gid)
            os.fchmod(descriptor, new.mode)  # after chown, which may clear bits
            for name, value in new.attributes.items():
                os.setxattr(descriptor, name, value)
            stream.flush()
            os.fsync(descriptor)
    except BaseException:
        _unlink_all([temporary])
        raise
    return temporary


def _rename_all(temporaries: Mapping[Path, Path]) -> None:
    try:
        for file, temporary in temporaries.items():
            os.rename(temporary, file)
    except BaseException:
        _unlink_all(temporaries.values())
        raise
    for folder in {file.parent for file in temporaries}:
        sync_folder(folder)


def _unlink_all(files: Iterable[Path]) -> None:
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            file.unlink()


@contextlib.contextmanager
def _file_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _cannot("write", file, error) from error


def create_new(file: Path, content: bytes, *, mode: int, own: bool = False) -> None:
    """Write *file* only if it does not exist yet, never through a link. Raises FileError. *own*: this user owns it
    whoever owns the folder, as for a private key."""
    try:
        temporary = _write_temporary(file, NewContent(content, mode, *((-1, -1) if own else heir(file.parent))))
        try:
            os.link(temporary, file)  # whole or not at all; unlike a rename it never replaces
        finally:
            _unlink_all([temporary])
        sync_folder(file.parent)
    except FileExistsError as error:
        hint = "nothing was overwritten; move it away first if it is really no longer needed"
        raise FileError(f"{file} exists already", hint=hint) from error
    except OSError as error:
        raise _cannot("write", file, error) from error


def create_empty(file: Path) -> None:
    """Make *file*, empty and 0600, unless there is one. Raises OSError."""
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _bequeath(descriptor, file.parent)
        finally:
            os.close(descriptor)


def _bequeath(descriptor: int, folder: Path) -> None:
    owner = heir(folder)
    if owner != (-1, -1):  # a unit may forbid fchown altogether
        os.fchown(descriptor, *owner)


def sync_folder(folder: Path) -> None:
    """Make renames in *folder* survive a power cut. Raises OSError."""
    descriptor = os.open(folder, _FOLDER)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private_folder(folder: Path) -> None:
    """Create *folder* for this user alone, 0700, and its parents as :func:`make_folder` does. Raises FileError."""
    make_folder(folder, mode=0o700)


def make_folder(folder: Path, *, mode: int = 0o755) -> None:
    """Create *folder*, and its parents with 0755; leave an existing one as it is. Raises FileError. The umask is
    ignored: nobody else may write into one of them, because a writer of a parent can exchange the folder."""
    try:
        missing = [one for one in (folder, *folder.parents) if not one.is_dir()]
        for one in reversed(missing):  # mkdir's own `parents` takes no mode for them
            one.mkdir(mode if one == folder else 0o755, exist_ok=True)
            descriptor = os.open(one, _FOLDER | os.O_NOFOLLOW)
            try:
                _bequeath(descriptor, one.parent)
            finally:
                os.close(descriptor)
    except OSError as error:
        raise _cannot("create the folder", folder, error) from error


def read_regular(file: Path, limit: int = LARGEST_READ) -> bytes:
    """Content of a regular file of at most *limit* bytes. Raises OSError otherwise. Never waits for a pipe or
    device."""
    return read_with_status(file, limit)[0]


def read_with_status(file: Path, limit: int = LARGEST_READ) -> tuple[bytes, os.stat_result]:
    """The same, and the mode and owner of what was read."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(file))
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            content = stream.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit} bytes", str(file))
    return content, status


Stamp = tuple[int, ...]
"""Differs whenever a file was written, replaced, or given to others."""


def stamps(files: Iterable[Path]) -> dict[Path, Stamp | None]:
    """The stamp of each of *files*; None where there is no such file, or it cannot be looked at."""
    return {file: _stamp(file) for file in files}


def _stamp(file: Path) -> Stamp | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def read_secret(file: Path) -> bytes:
    """Content of a file that holds a secret. Raises ConfigError if it is absent, unreadable or open to everybody.
    Group-readable is accepted: a TSIG key shared with the name server is root:bind 0640 on Debian."""
    try:
        content, status = read_with_status(file)
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        hint = owner_hint(file) if isinstance(error, PermissionError) else "create it, and write the secret into it"
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
def locked(file: Path, *, doing: str, skip: int = 0) -> Iterator[None]:
    """Lock *file* exclusively while the block runs. Raises LockedError at once if another process has the lock,
    FileError if the file cannot be written. Process and *doing* are written into it, below its first *skip* bytes,
    which stay. The kernel drops the lock with the process, so a killed run never blocks the next one."""
    try:
        create_empty(file)
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise _cannot("open the lock file", file, error) from error
    try:
        try:
            _lock(descriptor)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 200, skip).decode("utf-8", "replace").strip()
            raise LockedError(
                f"another run holds {file}" + (f" ({holder})" if holder else ""),
                hint="let it finish, or look at what it waits for; never delete the file: a dead run holds nothing",
            ) from error
        with _file_errors(file):
            os.ftruncate(descriptor, skip)
            os.pwrite(descriptor, b"\n" * bool(skip) + f"process {os.getpid()}: {doing}\n".encode(), skip)
        yield
    finally:
        os.close(descriptor)


def is_locked(file: Path) -> bool:
    """Has a process the lock of *file*? False too where the file is not there or may not be read."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
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
    """Raises BlockingIOError where another process has the lock for more than the instant of :func:`is_locked`."""
    for last in (False, True):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if last:
                raise
            time.sleep(_INSTANT)


def _cannot(what: str, file: Path, error: OSError) -> FileError:
    return FileError(f"cannot {what} {file}", why=error.strerror or str(error), hint=_write_hint(error, file))


def _write_hint(error: OSError, file: Path) -> str:
    if isinstance(error, PermissionError):
        return owner_hint(file)
    if isinstance(error, FileNotFoundError):
        return "create the folder first"
    if error.errno == errno.ELOOP:
        return "it is a symbolic link: put the file itself in its place"
    if error.errno == errno.EROFS:
        return f"mount that file system for writing; {IN_A_UNIT}"
    return "look at free space, mount options and permissions of that folder"
