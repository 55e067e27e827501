"""run --dry-run: what a run would change, told for people and programs. Nothing is written, told or reported."""

import argparse
from collections.abc import Sequence
from contextlib import closing

from agent.commands.run import asked_for
from agent.commands.show import Reasons, explained, is_well, run_document, state_words, tell
from agent.commands.wiring import LocalTools, refuse_beside_a_run
from agent.journey.rehearsal import GroupPlan, Rehearsal, Step, Told, rehearse
from agent.model.certificate import Command
from agent.rules.evidence import Sight
from common.clock import utc_text
from common.command_line import complain, report, say


def dry_run(arguments: argparse.Namespace) -> int:
    """Show what a run would do. The exit code is that of a run in which the services take all that is due; 1 also where
    a run would settle an interrupted install first: nobody knows how that ends."""
    settings, certificates, selected = asked_for(arguments)
    tools = LocalTools(settings, certificates, arguments.config, retry=arguments.retry, read_only=True)
    refuse_beside_a_run(tools.folder)
    with closing(tools):
        found = rehearse(selected, tools)
    if arguments.json:
        report(_document(found, tools.now))
    _show(found, tools.now, silent=arguments.json or arguments.quiet)
    return 0 if not found.interrupted and all(is_well(one, tools.now) for one in found.results) else 1


def _show(found: Rehearsal, now: float, *, silent: bool) -> None:
    reasons: Reasons = {}
    for name in found.interrupted:
        complain(f"{name}: an install was interrupted; a run would settle that first")
    for result in found.standing:
        tell(result, now, reasons, silent=silent)
    for group in found.installs:
        for step in group.steps:
            if not silent:
                say(*_step_lines(step))
            if not step.result.outcome.is_well:
                complain(*explained(step.result, now, reasons))
        if not silent:
            for told in group.services:
                say(*_told_lines(told, len(group.steps)))


def _step_lines(step: Step) -> list[str]:
    new = step.result.installed
    assert new is not None  # noqa: S101 - it would be installed
    instead = f" in place of serial {step.replaces}" if step.replaces else ""
    which = f"serial {new.serial} until {utc_text(new.not_after)}{instead}"
    line = f"{step.name}  would be {state_words(step.result)}  {which}"
    written = [f"  would write {change.path} ({change.what})" for change in step.changes]
    notes = [f"  {note}" for note in step.result.notes]
    return [line, *notes, *written, *(f"  {_bare_line(sight)}" for sight in step.bare)]


def _bare_line(sight: Sight) -> str:
    now = f"{sight.target} ({sight.address}) shows no certificate now: {sight.problem}"
    return f"{now}; it has to show this one then, or the certificate stays unproven"


def _told_lines(told: Told, count: int) -> list[str]:
    service = told.service
    lines = [f"service {service.name or 'of agent.toml'}, certificates: {count}"]
    if service.asks:
        return [*lines, *_run("check", service.check), "  would ask an operator to restart it"]
    if told.is_left_alone:
        return [*lines, *_run("check", service.check), "  nothing shows that it runs: it would be left alone"]
    activate = (told.stopped and service.start) or service.activate
    return [*lines, *_run("check", service.check), *_run("tell", activate), *_run("verify", service.verify)]


def _run(step: str, commands: Sequence[Command]) -> list[str]:
    return [f"  would {step}: {' '.join(command)}" for command in commands]


def _document(found: Rehearsal, now: float) -> dict[str, object]:
    return {
        "dry_run": True,
        "interrupted": found.interrupted,
        "certificates": [run_document(one, now) for one in found.results],
        "installs": [_group_document(group) for group in found.installs],
    }


def _group_document(group: GroupPlan) -> dict[str, object]:
    return {
        "certificates": [
            {
                "name": step.name,
                "replaces": step.replaces or None,
                "files": [{"path": str(change.path), "change": change.what} for change in step.changes],
                "has_to_show_it": [sight.target for sight in step.bare],
            }
            for step in group.steps
        ],
        "services": [
            {
                "name": told.service.name,
                "runs": not told.stopped,
                "check": told.service.check,
                "activate": told.service.activate,
                "verify": told.service.verify,
            }
            for told in group.services
        ],
    }
