"""Nothing new is installed for a while because a person said so: by a pause, or by the window of agent.toml.

The certificate in place is looked at as usual.
"""

from typing import TYPE_CHECKING

from agent.journey.ports import Turn
from agent.journey.put_right import put_right
from agent.journey.update import circumstances_of
from agent.journey.watch import look
from agent.model.result import Outcome, Result
from agent.model.waiting import Postponed
from agent.rules.evidence import conclusion, judge
from agent.rules.standing import before_the_first
from agent.rules.window import waits_for
from common.dataclasses import replace

if TYPE_CHECKING:
    from agent.journey.due import Due


def as_it_stands(turn: Turn) -> Result:
    """The standing of the certificate in place; PAUSED where none is. Raises FileError."""
    installed = turn.before.installed
    if installed is None:
        from agent.journey.due import life_in_files  # noqa: PLC0415 - X.509, before the first certificate alone

        return before_the_first(turn.result(Outcome.PAUSED), life_in_files(turn), turn.tools.now)
    lives = {file: turn.tools.files.read(file.path) for file in turn.certificate.files}
    evidence = judge(look(turn), installed.sha256, chain=installed.chain, by_hand=turn.certificate.by_hand)
    return put_right(turn, turn.result(*conclusion(evidence, turn.certificate)), lives, circumstances_of(turn))


def in_its_window(found: "Due | Result") -> "Due | Result":
    """*found* itself, if it may be installed now; else the standing of its predecessor meanwhile. Raises FileError."""
    if isinstance(found, Result) or found.turn.certificate.window is None:
        return found
    turn, window = found.turn, found.turn.certificate.window
    opening = waits_for(window, turn.tools.now, found.present_ends)
    if opening is None:
        return found
    return replace(as_it_stands(turn), postponed=Postponed(found.serial, window.text, int(opening.begins)))
