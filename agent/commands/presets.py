"""presets: what is known about services."""

import argparse
from typing import Any

from agent.settings.preset import Preset, load_preset, preset_names
from common.command_line import report, say, table
from common.errors import UsageError


def presets(arguments: argparse.Namespace) -> int:
    """Show every preset, or NAME in full."""
    if arguments.name is None:
        found = {name: preset for name in preset_names() if (preset := load_preset(name))}
        if arguments.json:
            report([_document(name, preset) for name, preset in found.items()])
        else:
            say(*table(["NAME", "NOTE"], [[name, preset.note] for name, preset in found.items()]))
        return 0
    preset = load_preset(arguments.name)
    if preset is None:
        raise UsageError(f"there is no preset {arguments.name!r}", hint=f"there are: {', '.join(preset_names())}")
    if arguments.json:
        report(_document(arguments.name, preset))
    else:
        _show(arguments.name, preset)
    return 0


def _document(name: str, preset: Preset) -> dict[str, Any]:
    return {
        "name": name,
        "note": preset.note,
        "programs": preset.programs,
        "files": {kind: str(file) for kind, file in preset.files.named().items()},
        "check": preset.check,
        "activate": preset.activate,
        "probe": preset.probe,
    }


def _show(name: str, preset: Preset) -> None:
    say(f"name      {name}")
    say(f"note      {preset.note}")
    say(f"program   {' or '.join(preset.programs)}")
    for kind, file in preset.files.named().items():
        say(f"file      {kind} = {file}")
    for label, commands in (("check", preset.check), ("activate", preset.activate)):
        for command in commands:
            say(f"{label:9} {' '.join(command)}")
    say(f"probe     {' '.join(preset.probe)}")
