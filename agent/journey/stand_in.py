"""A self-signed certificate in the place of a first one that took its service down and was taken back.

Without the file that its configuration names the service would not start, and all that it serves beside would stay
down. It is the certificate of ``request --interim``: no client trusts it, and the next install counts it as nothing.
"""

from agent.journey.interim import interim
from agent.journey.old_files import old_files
from agent.journey.ports import Turn
from agent.rules.journal import Part
from common.errors import CertfleetError
from common.late_log import LateLog

_log = LateLog()


def stand_in(turn: Turn, part: Part) -> bool:
    """Put one into each file that the roll back has removed. Returns whether there is one now; never raises a
    CertfleetError."""
    if all(file.backup for file in part.files):
        return False
    try:
        return bool(interim(turn))
    except CertfleetError as error:
        _log.warning("stand-in.not-made", certificate=part.name, error=str(error))
        return False


def take_away(turn: Turn, part: Part) -> None:
    """It did not help: the files are as the roll back has left them. Never raises a CertfleetError."""
    try:
        turn.tools.files.restore(old_files(part.files, turn.tools))
    except CertfleetError as error:
        _log.warning("stand-in.not-removed", certificate=part.name, error=str(error))
