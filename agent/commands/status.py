"""status: the last results, from the state folder alone. No source is asked and no socket looked at."""

import argparse
import time

from agent.commands.show import Reasons, document, explained, is_well, untold
from agent.commands.wiring import selected_of
from agent.host.state_folder import StateFolder
from agent.model.result import Result
from agent.rules.standing import standing
from agent.settings.config import load_settings
from common.clock import duration_text, utc_text
from common.command_line import complain, report, say, say_coloured, table
from common.dataclasses import replace
from common.files import is_locked
from common.terminal import Colour

_HEAD = ["NAME", "STATE", "SERIAL", "NOT AFTER", "SINCE"]


def status(arguments: argparse.Namespace) -> int:
    """Show how each of NAMEs, by default all, stood after its last run, the worst first. Exit code 1 if one is not well
    any more, or if no run can write its results."""
    settings, certificates = load_settings(arguments.config)
    if arguments.name:
        certificates = tuple(selected_of(arguments.name, certificates, arguments.config))
    state, now = StateFolder(settings.state_dir), time.time()
    results = [standing(_of_now(state, certificate.name, now), now) for certificate in certificates]
    last_run = state.last_run()
    shown, is_under_way = utc_text(last_run) if last_run else None, is_locked(state.lock_file)
    if arguments.json:
        documents = [{**document(one, well=is_well(one, now)), "kept": state.kept_serials(one.name)} for one in results]
        report({"last_run": shown, "under_way": is_under_way, "certificates": documents})
    else:
        say(f"last run {shown or 'never'}{', which is still under way' * is_under_way}")
        results.sort(key=lambda one: is_well(one, now))
        head, *lines = table(_HEAD, [_row(one, now) for one in results])
        colours = [Colour.NONE if is_well(one, now) else Colour.BAD for one in results]
        say_coloured([(head, Colour.HEAD), *zip(lines, colours, strict=True)])
        reasons: Reasons = {}
        for line in (line for one in results for line in explained(one, now, reasons)):
            say(line)
        for late in (one for one in results if one.is_untold(now)):
            say(untold(late))
    if not state.is_writable:
        complain(
            f"{state.folder} cannot be written: a run can put nothing on record, and what is shown may be outdated"
        )
    return 0 if state.is_writable and all(is_well(one, now) for one in results) else 1


def _of_now(state: StateFolder, name: str, now: float) -> Result:
    """The last result; a pause counts as soon as it is said, and no longer than it lasts."""
    result, pause = state.record(name), state.pause(name)
    return replace(result, pause=pause if pause is not None and pause.lasts(now) else None)


def _row(result: Result, now: float) -> list[str]:
    serial, end = "-", "-"
    if result.installed is not None:
        seconds = result.installed.not_after - now
        serial = result.installed.serial
        end = (
            f"{utc_text(result.installed.not_after)} ({duration_text(seconds) + ' left' if seconds > 0 else 'EXPIRED'})"
        )
    return [result.name, result.outcome.value, serial, end, utc_text(result.since) if result.since else "-"]
