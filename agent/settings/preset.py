"""What each service needs, as data: ``presets/*.toml``. A preset is a default; agent.toml overrules every part."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from agent.model.certificate import Command

_FOLDER = Path(__file__).with_name("presets")


@dataclass(frozen=True, slots=True)
class Preset:
    """One service: its files by kind, its own config test, how it takes a new certificate, where to look at it.

    ``{name}`` in files and probes stands for the certificate's name.
    """

    name: str
    note: str
    check: tuple[Command, ...]
    activate: tuple[Command, ...]
    probe: tuple[str, ...]
    files: tuple[tuple[str, str], ...]

    def file_paths(self, stem: str) -> dict[str, Path]:
        return {kind: Path(path.replace("{name}", stem)) for kind, path in self.files}

    def probe_texts(self, name: str) -> tuple[str, ...]:
        return tuple(text.replace("{name}", name) for text in self.probe)


def preset_names() -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


def load_preset(name: str) -> Preset | None:
    """The preset of that name, or None if there is no such."""
    if name not in preset_names():  # also keeps a name like "../x" from choosing a path
        return None
    data = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return Preset(
        name=name,
        note=data["note"],
        check=tuple(map(tuple, data["check"])),
        activate=tuple(map(tuple, data["activate"])),
        probe=tuple(data["probe"]),
        files=tuple(data["files"].items()),
    )
