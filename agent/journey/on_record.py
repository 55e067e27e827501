"""What came of a certificate is put on record, and told to the issuer's side."""

from dataclasses import replace

from agent.journey.ports import Tools, Turn
from agent.model.errors import SourceError, Stopped
from agent.model.result import Result
from common.errors import FileError
from common.late_log import LateLog

_log = LateLog()


def concluded(turn: Turn, result: Result, *, tell: bool = True) -> Result:
    """Put the result on record and tell the issuer's side; neither can undo an install."""
    kept = on_record(turn, result)
    return told(kept, turn.tools) if tell else kept


def on_record(turn: Turn, result: Result) -> Result:
    """The result as it is kept. One that cannot be saved leaves its journal open: it has not *ended*."""
    before, now = turn.before, int(turn.tools.now)
    is_news = not result.says_the_same_as(before)
    kept = replace(result, since=now if is_news else before.since, unsent=before.unsent or (now if is_news else 0))
    try:
        if is_news:
            turn.tools.state.save_record(kept)
    except FileError as error:
        _log.warning("record.not-written", certificate=kept.name, error=str(error), hint=error.hint)
        return replace(kept, ended=False)
    return kept


def told(result: Result, tools: Tools) -> Result:
    """Report it to the issuer's side if that does not know it yet; if that fails now, the next run reports it."""
    if not result.unsent:
        return result
    try:
        tools.source.report(result, tools.host, int(tools.now))
        sent = replace(result, unsent=0)
        tools.state.save_record(sent)
    except Stopped:  # this certificate has had its turn
        return result
    except SourceError as error:
        _log.warning("report.unsent", certificate=result.name, error=str(error), hint=error.hint)
        return result
    except FileError as error:
        _log.warning("record.not-written", certificate=result.name, error=str(error), hint=error.hint)
        return result
    return sent
