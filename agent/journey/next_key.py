"""The key that is to take the place of the live one. `request --next` makes it beside the live one. The install of the
certificate for it brings it in: both files change together, and both go back together.
"""

from pathlib import Path

from agent.journey.ports import Turn
from agent.model.host_key import HostKey
from agent.model.live_file import Planned
from common.certificate import Bundle, spki_sha256
from common.dataclasses import replace
from common.errors import FileError
from common.late_log import LateLog

_log = LateLog()


def key_for(bundle: Bundle, live: HostKey, turn: Turn) -> HostKey:
    """The next key if *bundle* is for it, else the *live* one. Raises ConfigError or RefusedError for a next key that
    is not as it must be; FileError."""
    wanted, place = spki_sha256(bundle.leaf.public_key()), turn.certificate.next_key
    if wanted == live.spki_sha256 or not turn.tools.keys.is_there(place) or is_open(turn):
        return live
    found = turn.tools.keys.load(place)
    return found if found.spki_sha256 == wanted else live


def is_open(turn: Turn) -> bool:
    """Can others than root and the agent's user put files of their own in the place of the key? Then no key goes there.

    Raises FileError.
    """
    live = turn.tools.files.read(turn.certificate.key)
    return live is not None and live.exchangeable


def with_key(turn: Turn, key: HostKey) -> dict[Path, Planned]:
    """The plan for the live key's file, by its real path: *key* takes the old key's place in it, all else stays.

    Raises FileError, ConfigError, RefusedError.
    """
    files, place = turn.tools.files, turn.certificate.key
    real = files.locate(place)
    live, old = files.read(real), turn.tools.keys.load(place)
    if live is None or live.exchangeable:
        raise FileError(f"the key {place} has vanished, or others can exchange it")
    block = old.content.rstrip(b"\n")
    content = live.content.replace(block, key.content.rstrip(b"\n")) if block in live.content else key.content
    return {real: Planned(live, replace(live, content=content, taken_from=turn.certificate.next_key))}


def drop_spent(turn: Turn, live: HostKey) -> bool:
    """Remove the file of the next key if it holds the *live* key, which it has become; and the copy of the key before,
    which was kept for the way back. Returns whether there was such a file.

    A file that cannot be removed does no harm: the next run tries again.
    """
    files, place = turn.tools.files, turn.certificate.next_key
    try:
        found = files.read(place)
        key = files.read(turn.certificate.key) if found is not None else None
        if found is None or key is None or live.content.rstrip(b"\n") not in found.content:
            return False
        files.restore({turn.certificate.key: key, place: None})
    except FileError as error:
        _log.warning("next-key.not-removed", certificate=turn.certificate.name, error=str(error), hint=error.hint)
        return False
    return True
