"""Nothing new is installed for a while because a person said so: by a pause, or by the window of agent.toml.

The certificate in place is looked at as usual. One that waits for its window is staged, and stands in for the source
while that is away. It is believed no more than a fresh one: it is verified again, in full.
"""

from shlex import quote
from typing import TYPE_CHECKING

from agent.journey.answers import circumstances_of
from agent.journey.ports import Turn
from agent.journey.put_right import put_right
from agent.journey.update import unreachable, update
from agent.journey.watch import first_look
from agent.model.errors import SourceError
from agent.model.offer import Staged
from agent.model.result import Outcome, Result
from agent.model.waiting import Postponed
from agent.rules.conclusion import conclusion
from agent.rules.evidence import judge
from agent.rules.standing import before_the_first
from agent.rules.window import waits_for
from common.dataclasses import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.journey.due import Due
    from agent.model.certificate import TargetFile
    from agent.model.live_file import LiveFile
    from agent.model.result import Installed

_OTHER = "is not what was installed"
_IN_ITS_WINDOW = "see who changed it; the first run in its window puts it right"
_RELEASE = "see who changed it; after `certfleet-agent release {name}` the next run puts it right"


def as_it_stands(turn: Turn) -> Result:
    """The standing of the certificate in place; PAUSED where none is. Raises FileError."""
    installed = turn.before.installed
    if installed is None and turn.pause is None:
        return turn.result(Outcome.PAUSED)
    if installed is None:
        from agent.journey.due import life_in_files  # noqa: PLC0415 - X.509, before the first certificate alone

        return before_the_first(turn.result(Outcome.PAUSED), life_in_files(turn), turn.tools.now)
    lives = _lives(turn)
    evidence = judge(first_look(turn), installed.sha256, chain=installed.chain, by_hand=turn.certificate.by_hand)
    result = turn.result(*conclusion(evidence, turn.certificate))
    if spoilt := _spoilt(installed, lives):
        outcome = Outcome.UNPROVEN if result.outcome.is_well else result.outcome
        put_back = _IN_ITS_WINDOW if turn.pause is None else _RELEASE.format(name=quote(turn.certificate.name))
        told = ("; ".join(filter(None, words)) for words in ((*spoilt, result.detail), (put_back, result.hint)))
        result = turn.result(outcome, *told)
    return put_right(turn, result, lives, circumstances_of(turn))


def _lives(turn: Turn) -> "dict[TargetFile, LiveFile | None]":
    return {file: turn.tools.files.read(file.path) for file in turn.certificate.files}


def _spoilt(installed: "Installed", lives: "Mapping[TargetFile, LiveFile | None]") -> list[str]:
    """A sentence for each live file that does not hold any more what was installed there."""
    changed = {
        file.path: live for file, live in lives.items() if _is_changed(installed.files.get(str(file.path)), live)
    }
    return [f"{path} {'was installed, and is gone' if live is None else _OTHER}" for path, live in changed.items()]


def _is_changed(digest: str | None, live: "LiveFile | None") -> bool:
    return digest is not None and (live is None or live.digest != digest)


def in_its_window(found: "Due | Result") -> "Due | Result":
    """*found* itself, if it may be installed now, or is to be put back. Else the standing of the certificate in place,
    with *found* staged. Raises FileError."""
    if isinstance(found, Result) or found.turn.certificate.window is None:
        return found
    turn, window, installed = found.turn, found.turn.certificate.window, found.turn.before.installed
    if installed is not None and installed.sha256 == found.sha256 and _spoilt(installed, _lives(turn)):
        return found
    opening = waits_for(window, turn.tools.now, found.present_ends)
    if opening is None:
        return found
    staged = Staged(found.mark, found.offer) if found.offer is not None else None
    postponed = Postponed(found.serial, window.text, int(opening.begins))
    return replace(as_it_stands(turn), postponed=postponed, staged=staged)


def without_source(turn: Turn, error: SourceError) -> "Due | Result":
    """The certificate that is staged, if it is due; else the result where the source cannot be asked. *error* says why.
    Raises HostLost, FileError."""
    staged = turn.before.staged
    if staged is None or turn.superseded:
        return unreachable(turn, error)
    here = replace(turn, away=error)
    found = in_its_window(update(here, staged.mark))
    return while_away(here, found) if isinstance(found, Result) else found


def while_away(turn: Turn, result: Result) -> Result:
    """*result* itself; where the source is away, with the reason, and UNREACHABLE in place of a good outcome."""
    if turn.away is None:
        return result
    told = [result.detail, str(turn.away)]
    if not result.outcome.is_well:
        return replace(result, detail="; ".join(filter(None, told)))
    if result.changed and result.installed is not None:
        proven = " and proven" if result.outcome.is_proven else ""
        told.insert(0, f"serial {result.installed.serial}, which was staged, is installed{proven}")
    detail = "; ".join(filter(None, told))
    return replace(result, outcome=Outcome.UNREACHABLE, detail=detail, hint=turn.away.hint)
