"""Puts the outcomes of certificates on record, and reports them to the issuer's side."""

from collections.abc import Sequence

from agent.journey.faulty import faulty
from agent.journey.ports import Tools, Turn
from agent.model.errors import SourceError, Stopped
from agent.model.result import Result
from common.dataclasses import replace
from common.late_log import LateLog

_log = LateLog()


def recorded(turn: Turn, result: Result, *, tell: bool = True) -> Result:
    """Put the result on record and, if *tell*, report it; a failure of either does not undo an install. Returns it as
    it is kept."""
    kept = on_record([(turn, result)], turn.tools)
    return (reported(kept, turn.tools) if tell else kept)[0]


def on_record(results: Sequence[tuple[Turn, Result]], tools: Tools) -> list[Result]:
    """Save the results; return them as they are kept. One that cannot be saved leaves its journal open: it has not
    *ended*."""
    kept = [_as_kept(turn.before, result, int(tools.now)) for turn, result in results]
    news = [one for one, (turn, result) in zip(kept, results, strict=True) if result != turn.before]
    unsaved = _saved(news, tools)
    return [replace(one, ended=False) if one.name in unsaved else one for one in kept]


def _as_kept(before: Result, result: Result, now: int) -> Result:
    if result == before:
        return replace(result, since=before.since, unsent=before.unsent)
    return replace(result, since=now, unsent=before.unsent or now)


def reported(results: Sequence[Result], tools: Tools) -> list[Result]:
    """Report those that the issuer's side does not know yet; return all, as they are kept then. The next run reports
    again what is not taken now."""
    unsent = [result for result in results if result.unsent]
    if not unsent:
        return list(results)
    try:
        refused = tools.source.report(unsent, tools.host, int(tools.now))
    except Stopped:  # these certificates have had their turn
        return list(results)
    except SourceError as error:
        refused = dict.fromkeys((result.name for result in unsent), error)
    said = {result.name: result.detail for result in unsent}
    for name, why in refused.items():
        log = _log.info if said[name] == str(why) else _log.warning  # the result says so already
        log("report.unsent", certificate=name, error=str(why), hint=why.hint)
    sent = {one.name: replace(one, unsent=0) for one in unsent if one.name not in refused}
    for name in _saved(list(sent.values()), tools):
        del sent[name]
    return [sent.get(result.name, result) for result in results]


def _saved(results: Sequence[Result], tools: Tools) -> set[str]:
    """Save the *results*; return the names of those that cannot be saved."""
    failures = faulty(tools.state.save_records, results)
    for result, error in failures:
        _log.warning("record.not-written", certificate=result.name, error=str(error), hint=error.hint)
    return {result.name for result, _ in failures}
