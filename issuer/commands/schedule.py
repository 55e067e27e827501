"""How often `run` starts on this machine, as the state folder remembers it, and whether that is often enough."""

from collections.abc import Sequence
from pathlib import Path

import structlog

from common.errors import FileError
from common.files import read_regular, write_atomic
from issuer.commands.lock import tries
from issuer.model.config import Settings
from issuer.model.errors import StoreError
from issuer.model.tries import BY_DAEMON
from issuer.rules.schedule import longest_life, longest_pause, remembered, too_slow
from issuer.store.database import Database
from issuer.store.overview import Overview
from issuer.trust.seals import Seals

log = structlog.get_logger()


def remember_run(settings: Settings, now: int) -> None:
    """Note that a run over all certificates began *now* (epoch seconds). Only under the issuer's lock."""
    runs = _runs(settings)
    after = remembered(runs, now)
    if after == runs:
        return
    try:
        write_atomic(_file(settings), "".join(f"{moment}\n" for moment in after).encode(), mode=0o600)
    except FileError as error:  # a full disk must not stop the run
        log.warning("schedule.unknown", error=str(error))


def slow_schedule(settings: Settings, database: Database, now: int) -> str:
    """A sentence about certificates that live too short for the runs of this machine; "" without any, while a daemon
    runs, and where database or memory do not tell: that is told elsewhere. Rows of names that nobody enrolled do not
    count: who writes to the table can make any number of them."""
    if tries(settings) is BY_DAEMON:
        return ""
    pause = longest_pause(_runs(settings), now)
    try:
        lives = Overview(database).short_lives(longest_life(pause, settings.renewal))
        enrolled = Seals(settings.state_dir).memory.names() if lives else frozenset()
    except (StoreError, FileError):
        return ""
    return too_slow([one for one in lives if one[0] in enrolled], pause, settings.renewal)


def _runs(settings: Settings) -> Sequence[int]:
    """[] where the file is not there, may not be read or is damaged."""
    try:
        return [int(line) for line in read_regular(_file(settings)).split()]
    except (OSError, ValueError):
        return []


def _file(settings: Settings) -> Path:
    return settings.state_dir / "runs"
