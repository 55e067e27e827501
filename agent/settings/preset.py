"""The needs of each service, as data: ``presets/*.toml``, here and beside agent.toml. A preset is a default: agent.toml
overrules it key by key, as a file of the operator's own does with the one that is shipped under the same name."""

from functools import cached_property
from pathlib import Path
from typing import Any

from agent.model.certificate import Action, Command
from agent.model.dialect import Dialect
from agent.settings import values
from agent.settings.files import ShapesSettings
from common.config import boolean, duration, nonempty, parse, section, setting, text
from common.config_file import document
from common.dataclasses import dataclass
from common.errors import ConfigError, Finding
from common.names import in_url
from common.owners import who_directs_root

_SHIPPED = Path(__file__).with_name("presets")
_FOLDER = "presets"  # beside agent.toml


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset(ShapesSettings):
    """One service.

    What people are told: *note*, *traps*; *proven*: on what it was tried with certfleet, "" for not at all; *versions*
    that it is for; *key_readable_by*: the user that must be able to read the key when the service takes new files;
    *globbed*: the service reads whatever lies in the folder of its files; *keeps_connections*: open connections stay
    when it takes new files.

    How it is found: *programs* show that it is installed, *processes* that it runs; *units* are its names for systemd
    and init scripts. The first of each that is there counts.

    Its commands and times: *check*, *activate*, *start*, *starts_stopped*, *verify*, *settle*, *logs* as in agent.toml.
    *activate* is an action or commands; *own* are the commands for that action where neither systemd nor an init script
    is there, as is *start*. *probe*: None has to be given in agent.toml, and () says that no socket can show it. In
    commands ``{name}`` stands for the certificate's name, ``{certificate}``, ``{chain}``, ``{fullchain}`` and ``{key}``
    for its files, ``{program}`` for the first program that is there; in files and probes only ``{name}`` does, and in
    probes ``{here}`` for 127.0.0.1, for a host without an agent for the name.
    *sandbox*: lines of systemd.exec(5), without which the agent's unit may not run these commands.

    *stapling*: by which words its configuration speaks of that; one without a certificate's word speaks of none.
    """

    note: str = setting(nonempty)
    traps: tuple[str, ...] = setting(values.words, ())
    proven: str = setting(text, "")
    versions: str = setting(text, "")
    programs: tuple[str, ...] = setting(values.words, ())
    processes: tuple[str, ...] = setting(values.words, ())
    units: tuple[str, ...] = setting(values.words, ())
    check: tuple[Command, ...] = setting(values.commands, ())
    activate: Action | tuple[Command, ...] = setting(values.activation, ())
    own: tuple[Command, ...] = setting(values.commands, ())
    start: tuple[Command, ...] = setting(values.commands, ())
    starts_stopped: bool = setting(boolean, False)
    verify: tuple[Command, ...] = setting(values.commands, ())
    sandbox: tuple[str, ...] = setting(values.words, ())
    settle: int = setting(duration(1), 0)
    logs: tuple[str, ...] = setting(values.words, ())
    probe: tuple[str, ...] | None = setting(values.probe_texts, None)
    key_readable_by: str = setting(text, "")
    globbed: bool = setting(boolean, False)
    keeps_connections: bool = setting(boolean, False)
    stapling: Dialect = section(Dialect)

    def probe_texts(self, name: str, here: str) -> tuple[str, ...]:
        """The probe targets of a certificate; *here*: the service's own machine."""
        texts = self.probe or ()
        return tuple(text.replace("{name}", in_url(name)).replace("{here}", in_url(here)) for text in texts)


class Presets:
    """The presets that there are for one agent.toml: those shipped, and those of the folder ``presets`` beside it."""

    def __init__(self, config: Path) -> None:
        self._own = config.parent / _FOLDER
        self._loaded: dict[str, Preset] = {}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All of them, sorted."""
        return tuple(sorted({file.stem for folder in (_SHIPPED, self._own) for file in folder.glob("*.toml")}))

    def load(self, name: str) -> Preset | None:
        """The preset of that name, or None if there is no such. ConfigError if its file is not as it must be, or if
        others than root could make root run any command by it."""
        if name not in self.names:  # also keeps a name like "../x" from choosing a path
            return None
        if name not in self._loaded:
            self._loaded[name] = _load(_SHIPPED / f"{name}.toml", self._own / f"{name}.toml")
        return self._loaded[name]


def _load(shipped: Path, own: Path) -> Preset:
    source, merged = shipped, dict[str, Any]()
    if shipped.exists():
        merged |= document(shipped)
    if own.exists():
        if director := who_directs_root(own):
            finding = Finding("", f"{director} could make root run any command by it")
            raise ConfigError(str(own), [finding], hint="keep it in a folder of root's own, writable for root alone")
        source, merged = own, merged | {"proven": ""} | document(own)  # it was proven as it is shipped
    return parse(Preset, merged, str(source))
