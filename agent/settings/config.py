"""agent.toml as frozen settings, and what they mean once the presets have filled in their defaults.

Two passes, both complete: shape (types, unknown keys: ``common.config_file``), then sense (unknown presets, nothing to
write, two files with one path …). Every finding at once, each with its path in the file.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from agent.model.certificate import Certificate, Command, Roots, Service, TargetFile, Use, file_stem
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
    presets: dict[str, Preset] = {}
    for service in settings.service:
        preset = load_preset(service)
        if preset is None:
            known = ", ".join(preset_names())
            findings.append(Finding(f"{where}.service", f"there is no preset {service!r}; there are: {known}"))
        else:
            presets[service] = preset
    files = _files(settings, list(presets.values()))
    if presets.keys() == set(settings.service):
        findings += (Finding(where + place, problem) for place, problem in _file_faults(settings, files))
        if settings.probe is None:
            findings += (Finding(f"{where}.probe", problem) for problem in _probe_faults(settings, presets))
    return Certificate(
        name=settings.name,
        names=frozenset(settings.names or (settings.name,)),
        key=settings.key,
        files=files,
        uses=_uses(settings, presets),
        roots=settings.roots or trust.roots,
        issuer_key=trust.issuer_key,
    )


def _uses(settings: CertificateSettings, presets: Mapping[str, Preset]) -> tuple[Use, ...]:
    """The services of a certificate: one for each preset; one alone where agent.toml has commands for several."""
    default = {name: _preset_probes(settings.name, preset) for name, preset in presets.items()}
    if not presets or (len(presets) > 1 and (settings.check, settings.activate) != (None, None)):
        check = _own_or_all(settings.check, [preset.check for preset in presets.values()])
        activate = _own_or_all(settings.activate, [preset.activate for preset in presets.values()])
        probes = settings.probe if settings.probe is not None else tuple(chain.from_iterable(default.values()))
        return (Use(Service(" and ".join(presets), check, activate), tuple(dict.fromkeys(probes))),)
    return tuple(
        Use(_service(name, preset, settings), _own_probes(settings.probe, default, name))
        for name, preset in presets.items()
    )


def _own_or_all(own: tuple[Command, ...] | None, presets: Iterable[tuple[Command, ...]]) -> tuple[Command, ...]:
    return own if own is not None else tuple(chain.from_iterable(presets))


def _service(name: str, preset: Preset, settings: CertificateSettings) -> Service:
    check, activate = settings.check, settings.activate
    return Service(
        name, check if check is not None else preset.check, activate if activate is not None else preset.activate
    )


def _own_probes(
    own: tuple[ProbeTarget, ...] | None, default: Mapping[str, tuple[ProbeTarget, ...]], name: str
) -> tuple[ProbeTarget, ...]:
    """The sockets of the service *name*: of the operator's *own* ones those on its ports, and those on nobody's."""
    if own is None:
        return default[name]
    ports = {service: {probe.port for probe in probes} for service, probes in default.items()}
    others = set().union(*(found for service, found in ports.items() if service != name)) - ports[name]
    return tuple(probe for probe in own if probe.port not in others)


def _preset_probes(name: str, preset: Preset) -> tuple[ProbeTarget, ...]:
    return () if name.startswith("*.") else tuple(map(parse_target, preset.probe_texts(name)))


def _probe_faults(settings: CertificateSettings, presets: Mapping[str, Preset]) -> Iterator[str]:
    if settings.name.startswith("*."):
        yield "must be given for a wildcard name; [] if no socket can show it: it is then reported as not provable"
    elif not any(preset.probe for preset in presets.values()):
        yield "must be given when no service is named; [] if no socket can show the certificate"


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
