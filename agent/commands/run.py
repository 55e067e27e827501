"""run: the daily cron. Pull, verify, install, activate, prove, for each certificate of this host."""

import argparse
import resource
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from agent.commands.show import Reasons, is_well, run_document, tell
from agent.commands.wiring import selected_of, tools_at_work
from agent.host.presence import presence
from agent.journey.announce import announce
from agent.journey.run import run as run_over
from agent.model.certificate import Certificate
from agent.model.errors import Stopped
from agent.model.result import Result
from agent.settings.config import AgentSettings, load_settings
from agent.settings.places import ROOTS_FILE
from common.command_line import complain, report
from common.errors import FileError, UsageError
from common.owners import who_directs_root
from common.terminal import PROGRESS

_MOST_FILES = 65_536
ROOTS_OWN = "make it and its folder root's alone (chown root, chmod go-w)"


def run(arguments: argparse.Namespace) -> int:
    """Bring NAMEs, by default all, up to date. Exit code 1 if one is not well or was not looked at."""
    settings, certificates, selected = asked_for(arguments)
    silent = arguments.json or arguments.quiet
    found: dict[str, Result] = {}
    reasons: Reasons = {}
    at_work = tools_at_work(settings, certificates, arguments.config, doing="run", retry=arguments.retry)
    with at_work as tools, tools.waits.heeding_signals():
        with suppress(FileError):  # on a full disk; a run is worth more than its date
            tools.folder.save_run(tools.now)
        PROGRESS.tell(f"0 of {len(selected)} certificates")
        with suppress(Stopped):
            for result in run_over(selected, tools):
                found[result.name] = result  # a certificate may have two: the later one counts
                tell(result, tools.now, reasons, silent=silent)
                PROGRESS.tell(f"{len(found)} of {len(selected)} certificates")
                if tools.waits.stop_asked:
                    break
        announce(list(found.values()), certificates, tools)
    PROGRESS.end()
    results = list(found.values())
    unfinished = len({one.name for one in selected} - found.keys())
    if unfinished:
        complain(f"stopped on request; {unfinished} certificates were not looked at")
    if arguments.json:
        order = {certificate.name: number for number, certificate in enumerate(selected)}
        results.sort(key=lambda result: order.get(result.name, -1))
        documents = [run_document(result, tools.now) for result in results]
        report({"certificates": documents, "stopped": bool(unfinished)})
    return 0 if not unfinished and all(is_well(result, tools.now) for result in results) else 1


def asked_for(arguments: argparse.Namespace) -> tuple[AgentSettings, Sequence[Certificate], list[Certificate]]:
    """The settings, all certificates of this host, and those that NAMEs mean. Raises ConfigError, UsageError."""
    settings, certificates = load_settings(arguments.config, presence)
    refuse_directors(arguments, settings.state_dir)
    _allow_many_files()
    return settings, certificates, selected_of(arguments.name, certificates, arguments.config)


def refuse_directors(arguments: argparse.Namespace, state_dir: Path | None) -> None:
    """Raises UsageError if another user than root can make root run any command by agent.toml, or write any file by the
    journals in *state_dir*; not with --obey-owner."""
    if director := who_directs_root(arguments.config):
        what, cure = f"{director} can make root run any command by {arguments.config}", roots_own()
    elif state_dir is not None and (director := who_directs_root(state_dir)):
        what, cure = f"{director} can make root write any file by {state_dir}", ROOTS_OWN
    else:
        return
    if not arguments.obey_owner:
        raise UsageError(what, hint=f"{cure}; --obey-owner takes it as it is")


def roots_own() -> str:
    """The hint for an agent.toml that is not root's alone."""
    elsewhere = f", or use {ROOTS_FILE}, which is found without --config"
    safe = "" if who_directs_root(Path(ROOTS_FILE)) else elsewhere
    return f"{ROOTS_OWN}{safe}"


def _allow_many_files() -> None:
    """Let this process open a file for each folder and socket of a service with thousands of virtual hosts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, _MOST_FILES), hard))
