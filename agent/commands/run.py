"""run: the daily cron. Pull, verify, install, activate, prove, for each certificate of this host."""

import argparse
from collections.abc import Sequence

from agent.commands.show import document, explained, untold
from agent.commands.wiring import LocalTools, name_in
from agent.journey.run import run as run_over
from agent.model.certificate import Certificate
from agent.model.errors import Stopped
from agent.model.result import Result
from agent.settings.config import load_settings
from common.clock import utc_text
from common.command_line import complain, report, say
from common.errors import ConfigError, Finding, UsageError
from common.files import locked
from common.owners import who_directs_root


def run(arguments: argparse.Namespace) -> int:
    """Bring NAMEs, by default all, up to date. Exit code 1 if one is not well or was not looked at."""
    settings, certificates = load_settings(arguments.config)
    if director := who_directs_root(arguments.config):
        complain(f"warning: {director} can make root run any command by it: keep it in a folder of root's")
    selected = _selected(arguments, certificates)
    tools = LocalTools(settings, certificates, arguments.config, retry=arguments.retry)
    tools.folder.create()
    silent = arguments.json or getattr(arguments, "quiet", False)
    results: list[Result] = []
    with locked(tools.folder.lock_file, doing="run"), tools.waits.heeding_signals():
        try:
            for result in run_over(certificates, selected, tools):
                results.append(result)
                _show(result, tools.now, silent=silent)
                if tools.waits.stop_asked:
                    break
        except Stopped:
            pass
        finally:
            tools.source.close()
    unfinished = len({one.name for one in selected} - {one.name for one in results})
    if unfinished:
        complain(f"stopped on request; {unfinished} certificates were not looked at")
    if arguments.json:
        documents = [_document(result, tools.now) for result in results]
        report({"certificates": documents, "stopped": bool(unfinished)})
    return 0 if not unfinished and all(_is_well(result, tools.now) for result in results) else 1


def _selected(arguments: argparse.Namespace, certificates: Sequence[Certificate]) -> list[Certificate]:
    if not certificates:
        finding = Finding("certificate", "none is configured")
        raise ConfigError(str(arguments.config), [finding], hint="add a [[certificate]]")
    by_name = {one.name: one for one in certificates}
    wanted = [name_in(name) for name in arguments.name] or list(by_name)
    unknown = [name for name in wanted if name not in by_name]
    if unknown:
        hint = f"configured are: {', '.join(by_name)}"
        raise UsageError(f"not configured in {arguments.config}: {', '.join(unknown)}", hint=hint)
    return [by_name[name] for name in dict.fromkeys(wanted)]


def _is_well(result: Result, now: float) -> bool:
    return result.outcome.is_well and not result.is_untold(now)


def _show(result: Result, now: float, *, silent: bool) -> None:
    """One line for each certificate unless *silent*; also on stderr one that is not well, with why and what to do, and
    the notes on one that is."""
    if not silent:
        installed = result.installed
        shown = f"serial {installed.serial} until {utc_text(installed.not_after)}" if installed else "-"
        say(f"{result.name}  {'newly ' if result.changed else ''}{result.outcome.value}  {shown}")
    if not result.outcome.is_well:
        complain(*explained(result, now))
    else:
        for note in result.notes:
            complain(f"{result.name}: {note}")
    if result.is_untold(now):
        complain(untold(result))


def _document(result: Result, now: float) -> dict[str, object]:
    return {**document(result, well=_is_well(result, now)), "changed": result.changed}
