"""rollback: a person goes back to a certificate that was in place before, and stays there until a newer one comes."""

import argparse
import contextlib

from agent.commands.run import refuse_directors
from agent.commands.show import Reasons, is_well, run_document, tell
from agent.commands.wiring import selected_of, tools_at_work
from agent.host.presence import presence
from agent.journey.go_back import go_back
from agent.journey.run import settle_all
from agent.model.errors import Stopped
from agent.model.result import Result
from agent.settings.config import load_settings
from common.certificate import serial_number
from common.command_line import complain, report
from common.errors import UsageError


def rollback(arguments: argparse.Namespace) -> int:
    """Install a kept certificate of NAME. Exit code 1 if that is not well, 3 while a run is under way."""
    settings, certificates = load_settings(arguments.config, presence)
    refuse_directors(arguments, settings.state_dir)
    (certificate,) = selected_of([arguments.name], certificates, arguments.config)
    if arguments.to and serial_number(arguments.to) is None:
        raise UsageError(
            f"{arguments.to!r} is no serial number", hint="write it as `status --json` shows it under `kept`"
        )
    results: list[Result] = []
    at_work = tools_at_work(settings, certificates, arguments.config, doing="run")
    with at_work as tools, tools.waits.heeding_signals(), contextlib.suppress(Stopped):
        results = [one for one in settle_all(tools) if one.name == certificate.name]
        results = results or [go_back(one, arguments.to, tools) for one in tools.reach([certificate])]
    if not results:
        complain("stopped on request; nothing was changed")
    if arguments.json:
        report({"certificates": [run_document(one, tools.now) for one in results], "stopped": not results})
    reasons: Reasons = {}
    for one in results:
        tell(one, tools.now, reasons, silent=arguments.json or arguments.quiet)
    return 0 if results and is_well(results[0], tools.now) else 1
