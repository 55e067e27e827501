"""agent.toml as frozen settings, and what they mean once the presets have filled in their defaults.

Two passes, both complete: shape (types, unknown keys: ``common.config_file``), then sense (unknown presets, nothing to
write, two files with one path …). Every finding at once, each with its path in the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.model.certificate import Certificate, Command, Roots, TargetFile, file_stem
from agent.settings import values
from agent.settings.preset import FilePaths, Preset, load_preset, preset_names
from common.config import duration, nonempty, optional_path, path, section, sections, setting, text
from common.config_file import load
from common.errors import ConfigError, Finding
from common.probe.target import ProbeTarget, parse_target

DEFAULT_FILE = "/etc/certfleet/agent.toml"
_PARTS_OF_FILE = {"certificate": ("certificate",), "chain": ("chain",), "fullchain": ("certificate", "chain")}


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """``[source]``: where certificates come from."""

    url: str = setting(nonempty)
    password_file: Path | None = setting(optional_path, None)
    tls_ca: Path | None = setting(optional_path, None)


@dataclass(frozen=True, slots=True)
class TrustSettings:
    """``[trust]``: whose word counts, and what a certificate must lead to before a live file is touched."""

    issuer_key: str = setting(values.issuer_key, "")
    roots: Roots = setting(values.roots, "system")


@dataclass(frozen=True, slots=True)
class FilesSettings(FilePaths):
    """``[certificate.files]``: the plain files; owner, group and mode are for all of them."""

    owner: str = setting(text, "")
    group: str = setting(text, "")
    mode: int | None = setting(values.mode, None)


@dataclass(frozen=True, slots=True)
class CombinedSettings:
    """``[[certificate.combined]]``: one file of several parts."""

    path: Path = setting(path)
    parts: tuple[str, ...] = setting(values.parts)
    owner: str = setting(text, "")
    group: str = setting(text, "")
    mode: int | None = setting(values.mode, None)


@dataclass(frozen=True, slots=True)
class CertificateSettings:
    """``[[certificate]]``: one certificate of this host. None means: the preset's; of *roots*: those of ``[trust]``."""

    name: str = setting(values.name)
    key: Path = setting(path)
    names: tuple[str, ...] = setting(values.names, ())
    service: tuple[str, ...] = setting(values.words, ())
    probe: tuple[ProbeTarget, ...] | None = setting(values.probes, None)
    check: tuple[Command, ...] | None = setting(values.commands, None)
    activate: tuple[Command, ...] | None = setting(values.commands, None)
    roots: Roots | None = setting(values.roots, None)
    files: FilesSettings = section(FilesSettings)
    combined: tuple[CombinedSettings, ...] = sections(CombinedSettings)


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """agent.toml."""

    state_dir: Path = setting(path, Path("/var/lib/certfleet-agent"))
    command_timeout: int = setting(duration(1), 60)
    probe_timeout: int = setting(duration(1), 30)
    source: SourceSettings = section(SourceSettings)
    trust: TrustSettings = section(TrustSettings)
    certificate: tuple[CertificateSettings, ...] = sections(CertificateSettings)


def load_settings(file: Path) -> tuple[AgentSettings, tuple[Certificate, ...]]:
    """The settings in *file* and the certificates they ask for; ConfigError with every finding."""
    settings = load(AgentSettings, file)
    return settings, resolve(settings, str(file))


def resolve(settings: AgentSettings, source: str) -> tuple[Certificate, ...]:
    """The certificates of *settings* with the presets filled in; ConfigError with every finding."""
    findings: list[Finding] = []
    certificates = tuple(
        _resolve_one(certificate, settings.trust, f"certificate[{index}]", findings)
        for index, certificate in enumerate(settings.certificate)
    )
    findings += _clashes(certificates)
    if findings:
        raise ConfigError(source, findings, hint="mend the file; every key stands in the example of deploy/")
    return certificates


def _resolve_one(
    settings: CertificateSettings, trust: TrustSettings, where: str, findings: list[Finding]
) -> Certificate:
    presets = []
    for service in settings.service:
        preset = load_preset(service)
        if preset is None:
            known = ", ".join(preset_names())
            findings.append(Finding(f"{where}.service", f"there is no preset {service!r}; there are: {known}"))
        else:
            presets.append(preset)
    known_services = len(presets) == len(settings.service)
    files = _files(settings, presets)
    if known_services:
        findings += (Finding(where + place, problem) for place, problem in _file_faults(settings, files))
    probes = settings.probe
    if probes is None and known_services:
        probes = _preset_probes(settings, presets, where, findings)
    return Certificate(
        name=settings.name,
        names=frozenset(settings.names or (settings.name,)),
        key=settings.key,
        services=settings.service,
        files=files,
        check=_own_or_preset(settings.check, [preset.check for preset in presets]),
        activate=_own_or_preset(settings.activate, [preset.activate for preset in presets]),
        probes=probes or (),
        roots=settings.roots or trust.roots,
        issuer_key=trust.issuer_key,
    )


def _own_or_preset(own: tuple[Command, ...] | None, presets: list[tuple[Command, ...]]) -> tuple[Command, ...]:
    return own if own is not None else tuple(command for preset in presets for command in preset)


def _preset_probes(
    settings: CertificateSettings, presets: list[Preset], where: str, findings: list[Finding]
) -> tuple[ProbeTarget, ...]:
    texts = dict.fromkeys(text for preset in presets for text in preset.probe_texts(settings.name))
    if settings.name.startswith("*."):
        problem = "must be given for a wildcard name; [] if no socket can show it: it is then reported as not provable"
    elif not texts:
        problem = "must be given when no service is named; [] if no socket can show the certificate"
    else:
        return tuple(map(parse_target, texts))
    findings.append(Finding(f"{where}.probe", problem))
    return ()


def _files(settings: CertificateSettings, presets: list[Preset]) -> tuple[TargetFile, ...]:
    """The user's plain files, or the presets' where the user names none; then the combined ones."""
    plain = settings.files
    chosen = [(file, _PARTS_OF_FILE[kind]) for kind, file in plain.named().items()]
    if not chosen:
        stem = file_stem(settings.name)
        of_presets = (item for preset in presets for item in preset.file_paths(stem).items())
        chosen = list(dict.fromkeys((file, _PARTS_OF_FILE[kind]) for kind, file in of_presets))
    return (
        *(TargetFile(file, parts, plain.owner, plain.group, plain.mode) for file, parts in chosen),
        *(TargetFile(one.path, one.parts, one.owner, one.group, one.mode) for one in settings.combined),
    )


def _file_faults(settings: CertificateSettings, files: tuple[TargetFile, ...]) -> Iterator[tuple[str, str]]:
    if not files:
        yield ".files", "there is nothing to write: name a service, a file or a combined file"
    if settings.key in {file.path for file in files}:
        yield ".key", f"{settings.key} would be overwritten: the key's own file cannot be a target"
    for index, one in enumerate(settings.combined):
        if "key" in one.parts and one.mode is not None and one.mode & 0o007:
            yield f".combined[{index}].mode", f"{one.mode:04o} would open the private key to everybody"
        if "certificate" in one.parts and "chain" in one.parts[: one.parts.index("certificate")]:
            yield f".combined[{index}].parts", "the certificate must stand before its chain"


def _clashes(certificates: tuple[Certificate, ...]) -> Iterator[Finding]:
    names: dict[str, int] = {}
    paths: dict[Path, int] = {}
    for index, certificate in enumerate(certificates):
        if certificate.name in names:
            other = names[certificate.name]
            problem = f"{certificate.name!r} stands in certificate[{other}] too; list both services in one entry"
            yield Finding(f"certificate[{index}].name", problem)
        names.setdefault(certificate.name, index)
        for file in certificate.files:
            if file.path in paths:
                problem = f"{file.path} is written twice (also by certificate[{paths[file.path]}])"
                yield Finding(f"certificate[{index}].files", problem)
            paths.setdefault(file.path, index)
