"""Rights of live files that somebody changed by hand are what they are meant to be again; the service is not told.

The content is the same, so that no service has to read it again. Rights that agent.toml does not name stay as people
set them, unless they open a key.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.journey.ports import Turn
from agent.model.certificate import TargetFile
from agent.model.live_file import LiveFile
from agent.model.result import Installed, Result
from agent.rules.targets import differences, reopened, wanted
from common.dataclasses import replace


def put_right(turn: Turn, result: Result, lives: Mapping[TargetFile, LiveFile | None], circumstances: str) -> Result:
    """Replace each file that we installed, by the settings of now, and whose rights are not those meant; say so in
    *result*. Rights that were never proven with their service come with the next install: where *circumstances* differ,
    a file with the key is closed as it was, and that is all. Raises FileError."""
    files, was, notes = turn.tools.files, turn.before.installed, []
    if was is None:
        return result
    for file, live in lives.items():
        if live is None or was.files.get(str(file.path)) != live.digest:
            continue
        if was.circumstances == circumstances:
            meant = wanted(file, live, files.owner_ids(file.owner, file.group), live.content)
        else:
            meant = _closed(file, live, was) or live
        found = differences(live, meant)
        if found:
            files.replace({file.path: meant})
            notes.append(_note(file.path, found, turn))
    return replace(result, notes=(*result.notes, *notes))


def _closed(file: TargetFile, live: LiveFile, was: Installed) -> LiveFile | None:
    """The file with the key as it was closed at the last install; None where it still is."""
    facts = was.written.get(str(file.path))
    return reopened(live, facts) if facts is not None and file.holds_key else None


def close_key(turn: Turn) -> Turn:
    """The turn, in which the key's own file has the mode again that it had at the last install, if somebody has opened
    it since; it says so. Raises FileError."""
    place, was, files = turn.certificate.key, turn.before.installed, turn.tools.files
    facts = was.written.get(str(place)) if was is not None else None
    live = files.read(place) if facts is not None else None
    meant = reopened(live, facts) if facts is not None and live is not None else None
    if live is None or meant is None:
        return turn
    files.replace({place: meant})
    note = _note(place, differences(live, meant), turn)
    return replace(turn, before=replace(turn.before, notes=(*turn.before.notes, note)))


def _note(place: Path, found: Sequence[str], turn: Turn) -> str:
    """A sentence that the rights of *place* are put right, or would be. *found*: the differences."""
    told = ", ".join(found)
    if turn.tools.files.is_rehearsal:
        return f"a run would change {place}: {told.replace(', now', ', then')}"
    return f"{place} had {told}"
