"""The lock of the state folder: who has it, and so who makes the next attempt. Imports nothing heavy."""

from pathlib import Path

from common.files import is_locked, read_regular
from issuer.model.config import Settings
from issuer.model.tries import BY_DAEMON, BY_NEXT_RUN, Tries

DAEMON = "certfleet-issuer daemon"  # stands in the lock file while the daemon holds it


def id_file(settings: Settings) -> Path:
    """The file that names the owner of our leases; its lock is that of the state folder."""
    return settings.state_dir / "issuer.id"


def locked_by_daemon(settings: Settings) -> bool:
    """Is the process with the lock a daemon? Only meaningful while there is one."""
    return DAEMON in read_regular(id_file(settings)).decode("utf-8", "replace")


def tries(settings: Settings) -> Tries:
    """The program that tries next on this machine. A daemon whose state folder we may not read is not seen."""
    return BY_DAEMON if is_locked(id_file(settings)) and locked_by_daemon(settings) else BY_NEXT_RUN
