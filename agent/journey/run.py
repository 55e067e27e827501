"""One run over the certificates of this host: settle what was interrupted, then each in turn; one never stops another.

An unchanged run writes nothing but the lock: a record is saved and a report is sent only when something is different.
Once a day it confirms all reports with one statement, so that the issuer's side can tell a quiet host from a dead one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agent.journey.ports import Tools, Turn
from agent.journey.update import unreachable, update
from agent.model.certificate import Certificate
from agent.model.errors import SourceError, Stopped
from agent.model.offer import Mark
from agent.model.result import Outcome, Result, with_notes_told
from agent.rules.standing import standing
from common.errors import CertfleetError, FileError
from common.late_log import LateLog

if TYPE_CHECKING:
    from agent.rules.journal import JournalEntry

_log = LateLog()
_CONFIRM_AFTER = 20 * 3600  # seconds: a daily run may come four hours early


def run(configured: Sequence[Certificate], selected: Sequence[Certificate], tools: Tools) -> Iterator[Result]:
    """Settle every install that was interrupted, then bring the *selected* certificates up to date, one by one.

    Raises FileError if a journal cannot be read: that needs a person.
    """
    by_name = {certificate.name: certificate for certificate in configured}
    broken = [one for entry in tools.state.journals() if (one := _settled(by_name.get(entry.name), entry, tools))]
    tools.state.sweep()
    tools.files.release()
    yield from broken
    results = {result.name: result for result in broken}
    todo = [certificate for certificate in selected if certificate.name not in results]
    answer, silent = _asked(todo, tools), False
    for certificate in todo:
        result = _taken_up(certificate, answer, tools, tell=not silent)
        silent = silent or (isinstance(answer, SourceError) and result.unsent > 0)
        results[result.name] = result
        tools.files.release()
        yield result
    if results.keys() >= by_name.keys():
        _confirm(list(results.values()), tools)


def _asked(certificates: Sequence[Certificate], tools: Tools) -> Mapping[str, Mark] | SourceError:
    """One question for all of them; a source that cannot be asked keeps one timeout waiting, and not one for each."""
    try:
        return tools.source.marks([certificate.name for certificate in certificates])
    except SourceError as error:
        return error


def _settled(certificate: Certificate | None, entry: "JournalEntry", tools: Tools) -> Result | None:
    """None when the interrupted install could be settled and the certificate's turn can come as usual."""
    if certificate is None:  # agent.toml does not name it any more: its files are all there is to mend
        certificate = Certificate(entry.name, frozenset(), Path())
    from agent.journey.roll_back import settle  # noqa: PLC0415 - an interrupted install is rare

    turn = Turn(certificate, tools.state.record(entry.name), tools)
    with tools.unbroken():
        result = settle(turn, entry)
    _log.warning("install.settled", certificate=entry.name, outcome=result.outcome.value, detail=result.detail)
    if result.outcome is Outcome.BROKEN:
        return _concluded(turn, result)
    tools.state.finish(entry.name)
    return None


def _taken_up(
    certificate: Certificate, answer: Mapping[str, Mark] | SourceError, tools: Tools, *, tell: bool
) -> Result:
    try:
        before = tools.state.record(certificate.name)
    except FileError as error:  # a record that cannot be read must not be overwritten either
        return Result(certificate.name, Outcome.FAILED, str(error), error.hint, unsent=int(tools.now))
    turn = Turn(certificate, before, tools)
    try:  # if an error leaves an install open in the journal, then the next run settles it
        if isinstance(answer, SourceError):
            result = unreachable(turn, answer)
        else:
            result = update(turn, answer.get(certificate.name))
    except SourceError as error:
        result = turn.result(Outcome.UNREACHABLE, str(error), error.hint)
    except CertfleetError as error:
        result = turn.result(Outcome.FAILED, str(error), error.hint)
    except Exception as error:  # noqa: BLE001 - the loop's border: a fault of ours must not stop the other certificates
        _log.info("run.fault", certificate=certificate.name, exc_info=True)
        what = f"a fault in certfleet itself: {type(error).__name__}: {error}"
        result = turn.result(Outcome.FAILED, what, "run again with -v and report what it prints")
    return _concluded(turn, with_notes_told(standing(result, tools.now)), tell=tell)


def _concluded(turn: Turn, result: Result, *, tell: bool = True) -> Result:
    """Put the result on record, close the journal, tell the issuer's side; none of these can undo an install."""
    before, tools = turn.before, turn.tools
    is_news = not result.says_the_same_as(before)
    now = int(tools.now)
    kept = replace(result, since=now if is_news else before.since, unsent=before.unsent or (now if is_news else 0))
    try:
        if is_news:
            tools.state.save_record(kept)
        if kept.ended:
            tools.state.finish(kept.name)
        return _told(kept, tools) if kept.unsent and tell else kept
    except FileError as error:
        _log.warning("record.not-written", certificate=kept.name, error=str(error), hint=error.hint)
        return kept


def _told(result: Result, tools: Tools) -> Result:
    """Report it to the issuer's side; if that fails now, it stays unsent and the next run reports it."""
    try:
        tools.source.report(result, tools.host, int(tools.now))
    except Stopped:  # this certificate has had its turn
        return result
    except SourceError as error:
        _log.warning("report.unsent", certificate=result.name, error=str(error), hint=error.hint)
        return result
    sent = replace(result, unsent=0)
    tools.state.save_record(sent)
    return sent


def _confirm(results: Sequence[Result], tools: Tools) -> None:
    """Say once a day that the reports are still true. Where some are gone, or are those of another account, all are
    sent again."""
    told = [result for result in results if not result.unsent]
    if not told or 0 <= tools.now - tools.state.confirmed_at() < _CONFIRM_AFTER:
        return
    try:
        try:
            if tools.source.confirm([result.name for result in told], tools.host, int(tools.now)) < len(told):
                for result in told:
                    tools.source.report(result, tools.host, int(tools.now))
        except SourceError as error:
            _log.warning("report.unsent", certificates=len(told), error=str(error), hint=error.hint)
            for result in told:
                tools.state.save_record(replace(result, unsent=int(tools.now)))
            return
        tools.state.save_confirmed(tools.now)
    except FileError as error:
        _log.warning("record.not-written", error=str(error), hint=error.hint)
