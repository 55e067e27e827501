"""Tells people of this host what a run did: of each new certificate, and of each that is not well, at once and then
daily."""

from collections.abc import Sequence

from agent.journey.ports import Tools
from agent.model.certificate import Certificate, Means
from agent.model.notice import Notice
from agent.model.result import Alarm, Outcome, Result
from common.dataclasses import replace
from common.errors import FileError
from common.late_log import LateLog

_log = LateLog()
_REMIND_AFTER = 20 * 3600  # seconds: a daily run may come four hours early
_TAKEN = {Outcome.INSTALLED, Outcome.UNPROVABLE, Outcome.UNREACHABLE}  # the last one: what was staged is installed


def announce(results: Sequence[Result], configured: Sequence[Certificate], tools: Tools) -> None:
    """Tell what is to be told of each certificate, by the means that agent.toml names. An alarm is put on record before
    people are told, so that nobody is told twice. *configured*: all certificates of agent.toml."""
    by_name = {certificate.name: certificate for certificate in configured}
    notices = []
    for result in results:
        certificate = by_name.get(result.name)
        if certificate is None:
            continue
        if result.changed and result.outcome in _TAKEN and certificate.on_install:
            notices.append(Notice(result, installed=True, means=certificate.on_install))
        if result.outcome.is_well:
            if result.alarm is not None:
                _save(replace(result, alarm=None), tools)
        elif (means := _means(certificate, result.outcome)) and not _was_told(result, tools.now):
            _save(replace(result, alarm=Alarm(result.outcome.value, int(tools.now))), tools)
            notices.append(Notice(result, installed=False, means=means))
    if notices:
        tools.messages.tell(notices)


def _means(certificate: Certificate, outcome: Outcome) -> tuple[Means, ...]:
    """The means by which people hear of a certificate that is not well. One that waits for people is new as well, and
    is told by both."""
    new = certificate.on_install if outcome is Outcome.PENDING else ()
    return tuple(dict.fromkeys((*new, *certificate.on_failure)))


def _was_told(result: Result, now: float) -> bool:
    alarm = result.alarm
    return alarm is not None and alarm.outcome == result.outcome.value and 0 <= now - alarm.at < _REMIND_AFTER


def _save(result: Result, tools: Tools) -> None:
    if not result.since:  # its record cannot be read, and must not be overwritten
        return
    try:
        tools.state.save_records([result])
    except FileError as error:
        _log.warning("record.not-written", certificate=result.name, error=str(error), hint=error.hint)
