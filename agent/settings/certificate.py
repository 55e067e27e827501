"""One ``[[certificate]]`` of agent.toml as frozen settings; agent/settings/config.py says what it means."""

from pathlib import Path

from agent.model.certificate import Action, Command, Means, Roots
from agent.model.remote_host import SshAddress
from agent.model.window import Window
from agent.settings import values
from agent.settings.files import ShapesSettings
from common.config import boolean, duration, optional_path, path, setting
from common.dataclasses import dataclass
from common.probe.target import ProbeTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSettings(ShapesSettings):
    """``[[certificate]]``: one certificate of this host. None means: the preset's; of *roots* and *ssh_…*: those for
    all; of *host*: this machine."""

    name: str = setting(values.name)
    key: Path = setting(path)
    host: SshAddress | None = setting(values.host, None)
    ssh_key_file: Path | None = setting(optional_path, None)
    ssh_host_keys: Path | None = setting(optional_path, None)
    names: tuple[str, ...] = setting(values.names, ())
    service: tuple[str, ...] = setting(values.words, ())
    probe: tuple[ProbeTarget, ...] | None = setting(values.probes, None)
    check: tuple[Command, ...] | None = setting(values.commands, None)
    activate: Action | tuple[Command, ...] | None = setting(values.activation, None)
    verify: tuple[Command, ...] | None = setting(values.commands, None)
    start: tuple[Command, ...] | None = setting(values.commands, None)
    starts_stopped: bool | None = setting(boolean, None)
    settle: int | None = setting(duration(1), None)
    logs: tuple[str, ...] | None = setting(values.words, None)
    roots: Roots | None = setting(values.roots, None)
    window: Window | None = setting(values.window, None)
    on_install: tuple[Means, ...] | None = setting(values.on_install, None)
    on_failure: tuple[Means, ...] | None = setting(values.on_failure, None)
