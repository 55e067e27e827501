"""Rights of live files that somebody changed by hand are what they are meant to be again; the service is not told.

The content is the same, so that no service has to read it again. What agent.toml leaves open stays as people set it,
but for what opens a key.
"""

from collections.abc import Mapping

from agent.journey.ports import Turn
from agent.model.certificate import TargetFile
from agent.model.live_file import LiveFile
from agent.model.result import Result, with_notes
from agent.rules.targets import differences, wanted


def put_right(turn: Turn, result: Result, lives: Mapping[TargetFile, LiveFile | None]) -> Result:
    """Replace each file whose rights are not those meant, and say so in *result*. Raises FileError."""
    files, said = turn.tools.files, []
    for file, live in lives.items():
        if live is None:
            continue
        meant = wanted(file, live, files.owner_ids(file.owner, file.group), live.content)
        found = differences(live, meant)
        if found:
            files.replace({file.path: meant})
            said.append(f"{file.path} had {', '.join(found)}")
    return with_notes(result, said)
