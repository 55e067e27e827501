"""The folder of one database server: where it may lie, whom it belongs to, and an empty installation copied into it."""

import atexit
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tests.servers.process import ServerFailed

INSTALL_SECONDS = 120
PREFIX = "certfleet-database-"

# What tells a folder in use from one whose process was killed: the lock goes with the process.
_locks: dict[Path, int] = {}


def server_user() -> str | None:
    """The account the server runs under: it refuses to be root, and an ordinary user cannot be anybody else."""
    return "mysql" if os.geteuid() == 0 else None


def make_folder(kind: str) -> Path:
    """A new folder for the server's account, straight below the temporary folder.

    Not below pytest's: that is closed to every account but the one the tests run under. So nobody else tidies up
    there, and what killed processes have left behind goes now.
    """
    _remove_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{kind}-"))
    lock = os.open(folder / "lock.new", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.rename(folder / "lock.new", folder / "lock")  # it appears locked, never unlocked
    _locks[folder] = lock
    give_away(folder)
    return folder


def remove_folder(folder: Path) -> None:
    """Remove a folder made here; the lock is let go last, or somebody else would be removing it as well."""
    shutil.rmtree(folder)
    os.close(_locks.pop(folder))


def _remove_abandoned() -> None:
    """Remove the folders whose lock nobody holds any more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            lock = os.open(folder / "lock", os.O_RDWR)
        except OSError:
            continue  # just being made, just being removed, or somebody else's
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)


def temporary_option(folder: Path) -> str:
    """A place of its own for temporary tables: a server that starts removes those of all others beside its own."""
    return f"--tmpdir={folder}"


def give_away(folder: Path) -> None:
    """Let the server's account own a folder with all that is in it."""
    user = server_user()
    if user is None:
        return
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, user, user)


@cache
def template(installer: Callable[[Path], list[str]]) -> Path:
    """An empty installation for this process to copy, made at the first call and removed when the process ends.

    *installer*: from the folder that is to hold the data to the command that makes them.
    """
    folder = make_folder("template")
    atexit.register(remove_folder, folder)
    command = [*installer(folder / "data"), temporary_option(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=INSTALL_SECONDS, cwd="/")
    if done.returncode:
        raise ServerFailed(f"{Path(command[0]).name} failed:\n{done.stdout}\n{done.stderr}")
    return folder / "data"
