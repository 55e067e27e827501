"""hold and release: a person begins a pause, in which this host takes nothing new for a certificate, and ends it."""

import argparse
import time
from datetime import date, datetime

from agent.commands.run import refuse_directors
from agent.commands.wiring import refuse_beside_a_run, selected_of
from agent.host.state_folder import StateFolder
from agent.model.offer import Mark
from agent.model.result import Result
from agent.model.waiting import Pause
from agent.settings.config import load_settings
from common import config
from common.clock import utc_text
from common.command_line import say
from common.dataclasses import replace
from common.errors import UsageError
from common.files import is_locked

_LONGEST_REASON = 1000  # characters


def hold(arguments: argparse.Namespace) -> int:
    """Nothing new is taken for the NAMEs before --until. A run that is under way is not waited for."""
    settings, certificates = load_settings(arguments.config)
    refuse_directors(arguments, settings.state_dir)
    chosen = selected_of(arguments.name, certificates, arguments.config)
    now = time.time()
    pause = Pause(_moment(arguments.until, now), _reason(arguments.reason), int(now))
    state = StateFolder(settings.state_dir)
    state.create()
    for certificate in chosen:
        state.save_pause(certificate.name, pause)
        say(f"{certificate.name}: {pause.sentence}")
    if is_locked(state.lock_file):
        say("a run is under way, which may not know of this: `status` says what it has installed when it has ended")
    return 0


def release(arguments: argparse.Namespace) -> int:
    """End pauses, and let certificates that a rollback left be taken again by the next run. Exit code 3 while a run is
    under way."""
    settings, certificates = load_settings(arguments.config)
    refuse_directors(arguments, settings.state_dir)
    chosen = selected_of(arguments.name, certificates, arguments.config)
    state, now = StateFolder(settings.state_dir), time.time()
    refuse_beside_a_run(state)  # else it would overwrite what this command ends
    state.create()
    for certificate in chosen:
        pause, before = state.pause(certificate.name), state.record(certificate.name)
        state.save_pause(certificate.name, None)
        ended = []
        if pause is not None and pause.lasts(now):
            ended.append(f"its hold until {utc_text(pause.until)} has ended")
        if before.gone_back is not None:
            ended.append(f"serial {', '.join(before.gone_back.left.values())} may be taken again")
            state.save_record(_to_be_looked_at(before))
        say(f"{certificate.name}: {'; '.join(ended) or 'nothing held it'}")
    return 0


def _to_be_looked_at(before: Result) -> Result:
    """*before* without the mark of its row, so that the next run judges the offer."""
    installed = replace(before.installed, mark=Mark(0, 0)) if before.installed is not None else None
    return replace(before, installed=installed, refusal=None, gone_back=None)


def _reason(text: str) -> str:
    try:
        found = config.text(text)
    except ValueError as error:
        raise UsageError(f"--reason {error}") from error
    if len(found) > _LONGEST_REASON:
        raise UsageError(f"--reason must not be longer than {_LONGEST_REASON} characters")
    return found


def _end(text: str) -> datetime:
    """The midnight after a day, or the moment itself. ISO 8601. Raises ValueError."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(text)
    return datetime.fromordinal(day.toordinal() + 1)


def _moment(text: str, now: float) -> int:
    """The end of a day, or the moment, in epoch seconds. Raises UsageError for another text, and for a past moment."""
    try:
        moment = _end(text).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        hint = "write it like 2026-12-31 or 2026-12-31T06:00"
        raise UsageError(f"--until {text!r} is no date", hint=hint) from error
    if moment <= now:
        raise UsageError(f"--until {text} is past", hint="`release` ends a hold at once")
    return int(moment)
