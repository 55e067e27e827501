"""The needs of each service, as data: ``presets/*.toml``. A preset is a default; agent.toml overrules every part."""

import functools
from dataclasses import dataclass
from pathlib import Path

from agent.model.certificate import Command
from agent.settings import values
from common.config import nonempty, optional_path, section, setting
from common.config_file import load
from common.names import in_url

_FOLDER = Path(__file__).with_name("presets")


@dataclass(frozen=True, slots=True)
class FilePaths:
    """The plain files of a certificate: the leaf alone, the rest of the chain, both with the leaf first."""

    certificate: Path | None = setting(optional_path, None)
    chain: Path | None = setting(optional_path, None)
    fullchain: Path | None = setting(optional_path, None)

    def named(self) -> dict[str, Path]:
        """The path of each kind of file that is named."""
        paths = {"certificate": self.certificate, "chain": self.chain, "fullchain": self.fullchain}
        return {kind: path for kind, path in paths.items() if path is not None}


@dataclass(frozen=True, slots=True)
class Preset:
    """One service: the programs that show that it is installed, the processes that show that it runs, its own config
    test, how it takes a new certificate, where to look at it, its files. ``{name}`` in files and probes stands for the
    certificate's name."""

    note: str = setting(nonempty)
    programs: tuple[str, ...] = setting(values.words)
    processes: tuple[str, ...] = setting(values.words)
    check: tuple[Command, ...] = setting(values.commands)
    activate: tuple[Command, ...] = setting(values.commands)
    probe: tuple[str, ...] = setting(values.probe_texts)
    files: FilePaths = section(FilePaths)

    def file_paths(self, stem: str) -> dict[str, Path]:
        """The path of each kind of file for a certificate whose name is *stem* as a file name."""
        return {kind: Path(str(path).replace("{name}", stem)) for kind, path in self.files.named().items()}

    def probe_texts(self, name: str) -> tuple[str, ...]:
        """The probe targets of a certificate."""
        return tuple(text.replace("{name}", in_url(name)) for text in self.probe)


def preset_names() -> tuple[str, ...]:
    """Every preset that there is, sorted."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


@functools.cache
def load_preset(name: str) -> Preset | None:
    """The preset of that name, or None if there is no such. ConfigError if its file is not as it must be."""
    if name not in preset_names():  # also keeps a name like "../x" from choosing a path
        return None
    return load(Preset, _FOLDER / f"{name}.toml")
