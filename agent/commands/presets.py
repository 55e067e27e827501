"""presets: what is known about services, and what that means on this host."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.host.presence import found_programs, presence, running
from agent.model.certificate import Service, TargetFile
from agent.model.presence import Presence
from agent.settings.files import target_files
from agent.settings.preset import Preset, Presets
from agent.settings.services import places, service_of
from common import dataclasses
from common.clock import duration_text
from common.command_line import report, say, table
from common.config import like
from common.errors import UsageError

_NAME, _KEY = "{name}", Path("{key}")  # stand for those of a certificate


@dataclasses.dataclass(frozen=True, slots=True)
class _Here:
    """A preset on this host: how it is found here, and the commands and files that it comes to."""

    name: str
    preset: Preset
    presence: Presence
    runs: bool
    files: tuple[TargetFile, ...]
    service: Service


def presets(arguments: argparse.Namespace) -> int:
    """Show every preset, or NAME in full."""
    known = Presets(arguments.config)
    if arguments.name is None:
        found = [_here(name, preset) for name in known.names if (preset := known.load(name))]
        if arguments.json:
            report([_document(one) for one in found])
        else:
            rows = [[one.name, _state(one), "yes" if one.preset.proven else "no", one.preset.note] for one in found]
            say(*table(["NAME", "HERE", "PROVEN", "NOTE"], rows))
        return 0
    preset = known.load(arguments.name)
    if preset is None:
        words = like(arguments.name, known.names)
        raise UsageError(f"there is no preset {arguments.name!r}{words}", hint="without a name all of them are shown")
    here = _here(arguments.name, preset)
    if arguments.json:
        report(_document(here))
    else:
        for label, text in _lines(here):
            say(f"{label:9} {text}")
    return 0


def _here(name: str, preset: Preset) -> _Here:
    found = presence(preset.units, preset.programs)
    files = target_files(preset, (), _NAME, _NAME)
    service = service_of(name, preset, found, places(_NAME, _KEY, files))
    return _Here(name, preset, found, not running().isdisjoint(preset.processes), files, service)


def _state(here: _Here) -> str:
    if here.runs:
        return "runs"
    return "installed" if here.presence.program else "-"


def _document(here: _Here) -> dict[str, Any]:
    preset, service = here.preset, here.service
    return {
        "name": here.name,
        "note": preset.note,
        "traps": preset.traps,
        "proven": preset.proven or None,
        "versions": preset.versions or None,
        "programs": preset.programs,
        "here": {"state": _state(here), **dataclasses.asdict(here.presence)},
        "files": {kind: str(file) for kind, file in preset.files.named().items()},
        "combined": [{"path": str(one.path), "parts": one.parts} for one in here.files if one.holds_key],
        "check": service.check,
        "activate": service.activate,
        "start": service.start,
        "starts_stopped": service.starts_stopped,
        "verify": service.verify,
        "sandbox": preset.sandbox,
        "settle": service.settle,
        "journal": service.journal,
        "logs": service.logs,
        "probe": preset.probe,
        "keeps_connections": preset.keeps_connections,
        "key_readable_by": preset.key_readable_by or None,
        "globbed": preset.globbed,
    }


def _lines(here: _Here) -> Iterator[tuple[str, str]]:
    """Everything about one preset, each with its label."""
    preset, service = here.preset, here.service
    yield "name", here.name
    yield "note", preset.note
    yield "proven", preset.proven or "no: what stands here was read, and not tried with certfleet"
    if preset.versions:
        yield "versions", preset.versions
    yield "program", " or ".join(preset.programs) or "any"
    yield "here", _found(here)
    for file in here.files:
        yield "file", _file(file)
    for label, commands in (("check", service.check), ("activate", service.activate), ("start", service.start)):
        for command in commands:
            yield label, " ".join(command)
    yield "why", _why(here)
    for command in service.verify:
        yield "verify", " ".join(command)
    for line in preset.sandbox:
        yield "sandbox", f"{line}, which `init --system` adds to the agent's unit"
    if service.settle:
        yield "settle", f"the new certificate may take {duration_text(service.settle)} to show"
    for command in service.journal:
        yield "log", " ".join(command)
    for log in service.logs:
        yield "log", log
    yield "probe", _probe(preset)
    if preset.key_readable_by:
        yield "key", f"{preset.key_readable_by} must be able to read it"
    if preset.globbed:
        yield "folder", "the service reads whatever lies beside its files: keep backups elsewhere"
    for trap in preset.traps:
        yield "trap", trap


def _found(here: _Here) -> str:
    if not here.presence.program:
        return "none of its programs is installed"
    programs = found_programs(here.preset.programs)
    return f"{', '.join(programs)} installed, and {'running' if here.runs else 'not running'}"


def _file(file: TargetFile) -> str:
    rights = [f"owner {file.owner}"] if file.owner else []
    rights += [f"group {file.group}"] if file.group else []
    rights += [f"mode {file.mode:04o}"] if file.mode is not None else []
    new = f"; when it is new: {', '.join(rights)}" if rights else ""
    return f"{file.path} = {', '.join(file.parts)}{new}"


def _why(here: _Here) -> str:
    """Why the service is told by these commands."""
    preset, found = here.preset, here.presence
    keeps = "open connections stay" if preset.keeps_connections else "open connections may end"
    if not isinstance(preset.activate, str):
        return f"the preset has commands of its own; {keeps}"
    if found.unit:
        return f"{preset.activate}, by systemd, which runs here and has the unit {found.unit}; {keeps}"
    if found.script and not preset.activate.startswith("SIG"):
        return f"{preset.activate}, by the init script {found.script}, because systemd does not run here; {keeps}"
    return f"{preset.activate}, by the daemon's own command: neither systemd nor an init script has it here; {keeps}"


def _probe(preset: Preset) -> str:
    if preset.probe is None:
        return "has to be given in agent.toml: the service has no usual socket"
    return " ".join(preset.probe) or "none: no socket shows it; give `verify` in agent.toml where you can"
