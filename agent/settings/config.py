"""agent.toml as frozen settings, and what they mean once the presets have filled in their defaults.

Two passes, both complete: shape (types, unknown keys: ``common.config_file``), then sense (unknown presets, nothing to
write, two files with one path …). Every finding at once, each with its path in the file.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from agent.model.certificate import ASK, Certificate, Means, Roots, TargetFile, Use, file_stem
from agent.model.presence import Finder, Presence, Question, nowhere
from agent.model.remote_host import RemoteHost, SshAddress
from agent.settings import values
from agent.settings.certificate import CertificateSettings
from agent.settings.files import target_files
from agent.settings.preset import Preset, Presets
from agent.settings.services import places, shared, unfilled, uses
from common.config import duration, integer, like, nonempty, optional_path, parse, path, section, sections, setting
from common.config_file import document_in, load
from common.dataclasses import dataclass, replace
from common.errors import ConfigError, Finding
from common.mail_settings import MailSettings


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """``[source]``: where certificates come from."""

    url: str = setting(nonempty)
    password_file: Path | None = setting(optional_path, None)
    tls_ca: Path | None = setting(optional_path, None)


@dataclass(frozen=True, slots=True)
class TrustSettings:
    """``[trust]``: whose signature counts, and which roots a chain must lead to before a live file is touched."""

    issuer_key: str = setting(values.issuer_key, "")
    roots: Roots = setting(values.roots, "system")


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """agent.toml."""

    state_dir: Path = setting(path, Path("/var/lib/certfleet-agent"))
    command_timeout: int = setting(duration(1), 60)
    probe_timeout: int = setting(duration(1), 30)
    ssh_key_file: Path | None = setting(optional_path, None)
    ssh_host_keys: Path | None = setting(optional_path, None)
    keep: int = setting(integer(0, 100), 3)
    on_install: tuple[Means, ...] = setting(values.on_install, ())
    on_failure: tuple[Means, ...] = setting(values.on_failure, ())
    reboot_delay: int = setting(duration(60), 300)
    notify: MailSettings = section(MailSettings)
    source: SourceSettings = section(SourceSettings)
    trust: TrustSettings = section(TrustSettings)
    certificate: tuple[CertificateSettings, ...] = sections(CertificateSettings)


def load_settings(file: Path, find: Finder = nowhere) -> tuple[AgentSettings, tuple[Certificate, ...]]:
    """The settings in *file* and the certificates they ask for. Raises ConfigError with every finding. *find* tells how
    services are present on this host; only callers that run the commands of services need it."""
    settings = load(AgentSettings, file)
    return settings, resolve(settings, file, find)


def settings_in(content: bytes, file: Path) -> tuple[AgentSettings, tuple[Certificate, ...]]:
    """The same of *content*, which is to be written to *file*."""
    settings = parse(AgentSettings, document_in(content, file), str(file))
    return settings, resolve(settings, file)


def resolve(
    settings: AgentSettings, source: Path, find: Finder = nowhere, there: Mapping[SshAddress, Finder] | None = None
) -> tuple[Certificate, ...]:
    """The certificates of *settings* with the presets filled in. Raises ConfigError with every finding. *source*: the
    path of agent.toml; *there*: how services are present on other hosts, as far as those were reached."""
    findings: list[Finding] = []
    presets = Presets(source)
    certificates = tuple(
        _resolve_one(certificate, settings, _Filling(presets, find, there or {}, f"certificate[{index}]", findings))
        for index, certificate in enumerate(settings.certificate)
    )
    findings += _clashes(certificates)
    means = (one for certificate in certificates for one in (*certificate.on_install, *certificate.on_failure))
    if "email" in means and not settings.notify.email_to:
        findings.append(Finding("notify.email_to", 'must name somebody, because on_install or on_failure says "email"'))
    if findings:
        raise ConfigError(str(source), findings, hint="mend the file; every key stands in the example of deploy/")
    return shared(certificates)


def questions(settings: AgentSettings, source: Path, hosts: Iterable[SshAddress]) -> dict[SshAddress, list[Question]]:
    """All that `resolve` asks the Finders of other *hosts*. Raises ConfigError as `resolve`."""
    asked: dict[SshAddress, list[Question]] = {host: [] for host in hosts}

    def noting(host: SshAddress, units: tuple[str, ...], programs: tuple[str, ...]) -> Presence:
        asked[host].append((units, programs))
        return nowhere(units, programs)

    resolve(settings, source, there={host: partial(noting, host) for host in asked})
    return asked


@dataclass(frozen=True, slots=True)
class _Filling:
    """The values that fill a certificate in, and the list that takes what is wrong with it."""

    presets: Presets
    find: Finder
    there: Mapping[SshAddress, Finder]
    where: str
    findings: list[Finding]

    def found(self, problems: Iterable[tuple[str, str]]) -> None:
        self.findings.extend(Finding(self.where + place, problem) for place, problem in problems)


def _resolve_one(settings: CertificateSettings, agent: AgentSettings, filling: _Filling) -> Certificate:
    on_install = agent.on_install if settings.on_install is None else settings.on_install
    filling.found(_ask_faults(settings, on_install))
    if ASK in on_install:
        settings = replace(settings, activate=ASK)
    presets: dict[str, Preset] = {}
    for service in settings.service:
        preset = filling.presets.load(service)
        if preset is None:
            words = like(service, filling.presets.names) or "; `certfleet-agent presets` lists them"
            filling.found([(".service", f"there is no preset {service!r}{words}")])
        else:
            presets[service] = preset
    files = target_files(settings, list(presets.values()), file_stem(settings.name), settings.name)
    if presets.keys() == set(settings.service):
        filling.found(_file_faults(settings, files))
        filling.found(_command_faults(settings, presets, files))
        if settings.probe is None:
            filling.found((".probe", problem) for problem in _probe_faults(settings, presets))
    return Certificate(
        name=settings.name,
        names=frozenset(settings.names or (settings.name,)),
        key=settings.key,
        files=files,
        uses=_uses(settings, presets, files, filling),
        roots=settings.roots or agent.trust.roots,
        issuer_key=agent.trust.issuer_key,
        window=settings.window,
        on_install=tuple(one for one in on_install if one != ASK),
        on_failure=agent.on_failure if settings.on_failure is None else settings.on_failure,
        host=_host(settings, agent, filling),
    )


def _host(settings: CertificateSettings, agent: AgentSettings, filling: _Filling) -> RemoteHost | None:
    """The other machine that a certificate is for, if it is for one."""
    if settings.host is None:
        return None
    key_file = settings.ssh_key_file or agent.ssh_key_file
    host_keys = settings.ssh_host_keys or agent.ssh_host_keys
    if key_file is None:
        filling.found([(".ssh_key_file", "is missing: the private key that logs in to its host")])
    if host_keys is None:
        filling.found([(".ssh_host_keys", "is missing: the file with the keys that its host may show")])
    return RemoteHost(settings.host, key_file, host_keys) if key_file and host_keys else None


def _uses(
    settings: CertificateSettings, presets: Mapping[str, Preset], files: tuple[TargetFile, ...], filling: _Filling
) -> tuple[Use, ...]:
    """The services where they run, with the commands that reach them there."""
    if settings.host is None:
        return uses(settings, presets, files, filling.find)
    at, find = str(settings.host), filling.there.get(settings.host, nowhere)
    return tuple(replace(use, service=replace(use.service, host=at)) for use in uses(settings, presets, files, find))


def _probe_faults(settings: CertificateSettings, presets: Mapping[str, Preset]) -> Iterator[str]:
    probes = [preset.probe for preset in presets.values()]
    if settings.name.startswith("*.") and any(probe is None or probe for probe in probes):
        yield "must be given for a wildcard name; [] if no socket can show it: it is then reported as not provable"
    elif all(probe is None for probe in probes):
        who = f"{' and '.join(presets)} has no usual socket" if presets else "no service is named"
        yield f"must be given when {who}; [] if no socket can show the certificate"


def _command_faults(
    settings: CertificateSettings, presets: Mapping[str, Preset], files: tuple[TargetFile, ...]
) -> Iterator[tuple[str, str]]:
    needs_unit = isinstance(settings.activate, str) and settings.activate != ASK
    if needs_unit and not any(preset.units for preset in presets.values()):
        yield ".activate", f"{settings.activate!r} needs a service whose preset names units; write commands"
    for place in unfilled(settings, presets.values(), places(settings.name, settings.key, files)):
        yield ".files", f"a command of the preset needs the file {place}: name one, or write commands of your own"


def _ask_faults(settings: CertificateSettings, on_install: tuple[Means, ...]) -> Iterator[tuple[str, str]]:
    asks = ASK in on_install
    if asks and settings.activate not in (None, ASK):
        yield ".activate", 'on_install says "ask", so a person restarts the service: leave one of the two out'
    if "reboot" in on_install and (asks or settings.activate == ASK):
        yield ".on_install", 'cannot hold "reboot" where a person is asked to restart the service'


def _file_faults(settings: CertificateSettings, files: tuple[TargetFile, ...]) -> Iterator[tuple[str, str]]:
    if not files:
        yield ".files", "there is nothing to write: name a service, a file or a combined file"
    if settings.key in {file.path for file in files}:
        yield ".key", f"{settings.key} would be overwritten: the key's own file cannot be a target"
    for place, mode in settings.opening():
        yield f".{place}", f"{mode:04o} would open the private key to everybody"
    if settings.host is not None:
        for file in (file for file in files if file.holds_key):
            yield ".host", f"the key stays on its host: {file.path}, which holds it too, cannot be written from here"


def _clashes(certificates: tuple[Certificate, ...]) -> Iterator[Finding]:
    names: dict[str, int] = {}
    paths: dict[tuple[object, Path], int] = {}
    for index, certificate in enumerate(certificates):
        if certificate.name in names:
            other = names[certificate.name]
            problem = f"{certificate.name!r} stands in certificate[{other}] too; list both services in one entry"
            yield Finding(f"certificate[{index}].name", problem)
        names.setdefault(certificate.name, index)
        for file in certificate.files:
            place = certificate.host and certificate.host.address, file.path
            if place in paths:
                problem = f"{file.path} is written twice (also by certificate[{paths[place]}])"
                yield Finding(f"certificate[{index}].files", problem)
            paths.setdefault(place, index)
