"""The agent's own unit: which folders the files of agent.toml lie in, whether systemd lets it write there, and what
else the services of agent.toml need."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from agent.model.certificate import Certificate
from agent.rules.sandbox import closed, drop_in, lacking, setting_of, starting
from agent.settings.config import AgentSettings
from agent.settings.preset import Presets
from agent.source.open import database_file
from common.system import unit_properties, write_drop_in

UNIT = "certfleet-agent.service"
DROP_IN = "folders.conf"
_HEAD = "# Made by `certfleet-agent init --system` from {config}, and made anew each time: add nothing here.\n"


def folders_to_write(
    settings: AgentSettings, certificates: Iterable[Certificate], keys: Iterable[Path] = ()
) -> list[Path]:
    """The folders that a run writes to: the state folder, the folders of live files and of these *keys*, which next
    ones replace, and that of an SQLite database, with links followed."""
    database = database_file(settings.source)
    files = [file.path for one in certificates if one.host is None for file in one.files]
    inside = [os.path.realpath(one) for one in (*files, *keys, *([database] if database else []))]
    folders = [settings.state_dir, *(one.parent for one in keys)]  # a next key lies beside a link too
    return sorted({Path(os.path.realpath(one)) for one in folders} | {Path(one).parent for one in inside})


def closed_folders(settings: AgentSettings, certificates: Sequence[Certificate]) -> list[Path]:
    """The folders of :func:`folders_to_write` that the unit, with every drop-in, may not write; none where there is no
    such unit. That of a key counts while a next one waits there."""
    found = unit_properties(UNIT, "LoadState", "ProtectSystem", "ReadWritePaths", "StateDirectory")
    if found.get("LoadState") != ["loaded"]:
        return []
    writable = [Path(one.lstrip("-+")) for one in found["ReadWritePaths"]]
    writable += [Path("/var/lib") / one for one in found["StateDirectory"]]
    keys = [one.key for one in certificates if one.host is None and os.path.lexists(one.next_key)]
    return closed(folders_to_write(settings, certificates, keys), "".join(found["ProtectSystem"]), map(_real, writable))


def forbidden(config: Path, settings: AgentSettings) -> list[str]:
    """The lines that the commands of services need in the unit, and that it has in no form; none where there is no such
    unit."""
    lines = _allowed(config, settings)
    found = unit_properties(UNIT, "LoadState", *map(setting_of, lines)) if lines else {}
    return lacking(lines, found) if found.get("LoadState") == ["loaded"] else []


def _allowed(config: Path, settings: AgentSettings) -> list[str]:
    """The lines in the presets of the services of this host."""
    presets = Presets(config)
    names = dict.fromkeys(name for one in settings.certificate if one.host is None for name in one.service)
    return [*dict.fromkeys(line for name in names if (preset := presets.load(name)) for line in preset.sandbox)]


def fit_unit(
    config: Path, settings: AgentSettings, certificates: Sequence[Certificate], *, command: Sequence[str]
) -> None:
    """Let the unit start *command*, write every folder that *config* names, and do what the commands of its services
    need. The unit's own file may be older than any of these, and changed by hand."""
    more = (*starting(command), *_allowed(config, settings))
    folders = folders_to_write(settings, certificates, [one.key for one in certificates if one.host is None])
    write_drop_in(UNIT, DROP_IN, _HEAD.format(config=config) + drop_in(folders, more))


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
