"""The files of a certificate, as agent.toml and presets ask for them, and what they are for the agent."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.model.certificate import Keystore, Rights, TargetFile
from agent.settings import values
from common.config import optional_path, path, section, sections, setting, text
from common.dataclasses import dataclass, replace

_PARTS_OF_FILE = {"certificate": ("certificate",), "chain": ("chain",), "fullchain": ("certificate", "chain")}
_PARTS_OF_KEYSTORE = ("certificate", "chain", "key")
_EVERYBODY = 0o007


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsSettings:
    """Owner, group and mode of a file, as agent.toml gives them."""

    owner: str = setting(text, "")
    group: str = setting(text, "")
    mode: int | None = setting(values.mode, None)

    @property
    def rights(self) -> Rights:
        return Rights(self.owner, self.group, self.mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesSettings(RightsSettings):
    """``[files]``: the plain files: the leaf alone, the rest of the chain, or both with the leaf first. Owner, group
    and mode are for all of them."""

    certificate: Path | None = setting(optional_path, None)
    chain: Path | None = setting(optional_path, None)
    fullchain: Path | None = setting(optional_path, None)

    def named(self) -> dict[str, Path]:
        """The path of each kind of file that is named."""
        paths = {"certificate": self.certificate, "chain": self.chain, "fullchain": self.fullchain}
        return {kind: path for kind, path in paths.items() if path is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinedSettings(RightsSettings):
    """``[[combined]]``: one file of several parts."""

    path: Path = setting(path)
    parts: tuple[str, ...] = setting(values.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeystoreSettings(RightsSettings):
    """``[[keystore]]``: certificate, chain and key in PKCS#12, which Java reads, whichever type it is told."""

    password_file: Path = setting(path)
    path: Path = setting(path)
    format: str = setting(values.keystore_format, "pkcs12")
    alias: str = setting(text, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapesSettings(RightsSettings):
    """Every kind of file, and whose they are where a file does not say so itself."""

    files: FilesSettings = section(FilesSettings)
    combined: tuple[CombinedSettings, ...] = sections(CombinedSettings)
    keystore: tuple[KeystoreSettings, ...] = sections(KeystoreSettings)

    def plain(self, stem: str) -> Iterator[TargetFile]:
        """The plain files of a certificate whose name is *stem* as a file name."""
        for kind, file in self.files.named().items():
            yield _target(file, stem, _PARTS_OF_FILE[kind], self.files.rights.or_else(self.rights))

    def compound(self, stem: str, name: str) -> Iterator[TargetFile]:
        """The files of several parts, for the certificate *name*."""
        for one in self.combined:
            yield _target(one.path, stem, one.parts, one.rights.or_else(self.rights))
        for store in self.keystore:
            keystore = Keystore(_of(store.password_file, stem), store.alias or name)
            yield _target(store.path, stem, _PARTS_OF_KEYSTORE, store.rights.or_else(self.rights), keystore)

    def opening(self) -> Iterator[tuple[str, int]]:
        """Each setting whose mode would open a private key to everybody, with that mode."""
        holding: list[tuple[str, RightsSettings]]
        holding = [(f"combined[{index}].", one) for index, one in enumerate(self.combined) if "key" in one.parts]
        holding += [(f"keystore[{index}].", one) for index, one in enumerate(self.keystore)]
        for where, one in holding:
            if one.mode is not None and one.mode & _EVERYBODY:
                yield f"{where}mode", one.mode
            elif one.mode is None and self.mode is not None and self.mode & _EVERYBODY:
                yield "mode", self.mode


def target_files(
    own: ShapesSettings, presets: Sequence[ShapesSettings], stem: str, name: str
) -> tuple[TargetFile, ...]:
    """The operator's *own* files. Where he names no plain file, those of the presets too; where he names no file at
    all, their other ones too: nobody gets a copy of a key that he did not ask for. A file of his with a key, whose
    rights he leaves open, gets those of the presets' such files if they agree: the service's user must read it."""
    first = _rights_of_keys(presets, stem, name)
    plain, compound = list(own.plain(stem)), [_with(first, file) for file in own.compound(stem, name)]
    names_none = not plain and not compound
    if not plain:
        plain = [_at_first(file, own.rights) for preset in presets for file in preset.plain(stem)]
    if names_none:
        compound = [_at_first(file, own.rights) for preset in presets for file in preset.compound(stem, name)]
    return tuple(dict.fromkeys([*plain, *compound]))


def _rights_of_keys(presets: Sequence[ShapesSettings], stem: str, name: str) -> Rights:
    """The rights of the presets' files with a key; none where they differ."""
    found = {
        Rights(file.owner, file.group, file.mode)
        for preset in presets
        for file in preset.compound(stem, name)
        if file.holds_key
    }
    return found.pop() if len(found) == 1 else Rights()


def _with(first: Rights, file: TargetFile) -> TargetFile:
    """The operator's *file*, with these rights at first if it holds a key and he says nothing of any of them."""
    says_nothing = Rights(file.owner, file.group, file.mode) == Rights()
    return replace(file, at_first=first) if file.holds_key and says_nothing else file


def _at_first(file: TargetFile, own: Rights) -> TargetFile:
    """A file of a preset: its rights are for a new file, because people may have set those of a live one."""
    first = Rights(file.owner, file.group, file.mode)
    return TargetFile(file.path, file.parts, own.owner, own.group, own.mode, first, file.keystore)


def _target(
    file: Path, stem: str, parts: tuple[str, ...], rights: Rights, keystore: Keystore | None = None
) -> TargetFile:
    return TargetFile(_of(file, stem), parts, rights.owner, rights.group, rights.mode, keystore=keystore)


def _of(file: Path, stem: str) -> Path:
    return Path(str(file).replace("{name}", stem))
