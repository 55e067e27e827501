"""The part of `check` about stapling: each service of this host that can staple shows its configuration, and its
certificates, responders and logs are looked at. Nothing is changed."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cryptography import x509

from agent.host.configuration import certificates_in, content_of, end_of, environment_of, output_of, texts_of
from agent.host.presence import found_programs, presence
from agent.host.responders import ways_to
from agent.model.certificate import Command
from agent.model.dialect import Dialect
from agent.model.stapling import Directive, Dump, Facts, Parsed, Served, Site, Staple, Symptom, TooMuch, walk
from agent.rules import stapling, stapling_facts, stapling_log
from agent.rules.stapling_read import files_of, further_files, read, show_commands
from agent.settings.config import AgentSettings
from agent.settings.preset import Preset, Presets
from common.check_line import WARN, Line
from common.dataclasses import dataclass, replace
from common.threads import each_on_thread

_AT_ONCE = 20  # responders that are asked side by side


@dataclass(frozen=True, slots=True)
class _Service:
    """A service that a certificate of this host names. *check*: its test of its configuration."""

    name: str
    preset: Preset
    check: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class _Certificates:
    """All that the configuration names, by their files: facts, leaves, questions for their responders."""

    served: dict[str, Served]
    leaves: dict[str, x509.Certificate]
    questions: dict[str, bytes]


def stapling_lines(settings: AgentSettings, config: Path) -> Iterator[Line]:
    """The findings of every service."""
    for service in _services(settings, config):
        environment = environment_of(service.preset.processes)
        try:
            found, why = _read(service, environment, settings.command_timeout), ""
        except TooMuch as error:
            found, why = None, f": {error}"
        if found is None:
            says = "says: before the first run a file may be missing"
            shows = "".join(f"see what `{' '.join(one)}` {says}; " for one in _shows(service)[:1])
            hint = f"{shows}run `check` as root; where the service has other files, name its own test in `check`"
            sentence = f"stapling: its configuration could not be read{why}"
            yield Line(WARN, service.name, sentence, hint, kind="stapling-unreadable")
        elif sites := stapling.sites(found, service.preset.stapling):
            yield from _findings(service, found, sites)


def _services(settings: AgentSettings, config: Path) -> Iterator[_Service]:
    """Each service once, with the first test of its configuration that agent.toml has for it."""
    presets, seen = Presets(config), set[str]()
    for one in settings.certificate:
        for name in one.service if one.host is None else ():
            preset = presets.load(name)
            if preset is None or not preset.stapling.certificate or not found_programs(preset.programs):
                continue
            if name not in seen:
                seen.add(name)
                yield _Service(name, preset, preset.check if one.check is None else one.check)


def _read(service: _Service, environment: dict[str, str], seconds: float) -> Parsed | None:
    """The configuration; None where nothing of it could be seen. Raises TooMuch."""
    dialect = service.preset.stapling
    words = [word for command in service.check for word in command]
    for output in (output_of(one, seconds) for one in _shows(service)) if dialect.show else [""]:
        shown = Dump(output, texts_of(files_of(dialect, output, words)), environment)
        shown = replace(shown, texts={**shown.texts, **texts_of(further_files(dialect, shown))})
        if (found := read(dialect, shown)).tree:
            return found
    return None


def _shows(service: _Service) -> list[tuple[str, ...]]:
    """The commands by which it shows its configuration."""
    preset = service.preset
    program = presence(preset.units, preset.programs).program
    return show_commands(preset.stapling, service.check, program, (*preset.programs, *preset.processes))


def _findings(service: _Service, found: Parsed, sites: Sequence[Site]) -> list[Line]:
    dialect, now = service.preset.stapling, time.time()
    sites = [_expanded(site, dialect, found.folder) for site in sites]
    certificates = _certificates(sites, dialect, now)
    cases = stapling.cases(sites, dialect, certificates.served)
    asked = stapling.to_ask(cases)
    questions = [(url, certificates.questions.get(one.served.file, b""), one.seconds) for url, one in asked.items()]
    ways = [out.result() for out in each_on_thread(lambda question: ways_to(*question), questions, _AT_ONCE)]
    facts = Facts(
        certificates.served,
        dict(zip(asked, ways, strict=True)),
        dict(_staples(cases, certificates, now)),
        _missing_folders(found, dialect),
        tuple(_symptoms(found, dialect, now)),
    )
    return stapling.findings(service.name, dialect, found, cases, facts)


def _expanded(site: Site, dialect: Dialect, folder: str) -> Site:
    """*site* with whole paths of files, and with the files of a folder of certificates in the place of the folder."""
    names = {dialect.certificate.lower(), dialect.chain.lower(), dialect.staple.lower()} - {""}
    files = {
        name: tuple(
            Directive(one.name, (file,), one.place)
            for one in site.all(name)
            for word in one.words[:1]
            for file in certificates_in(os.path.join(folder, word))
        )
        for name in names & site.directives.keys()
    }
    return replace(site, directives={**site.directives, **files})


def _certificates(sites: Iterable[Site], dialect: Dialect, now: float) -> _Certificates:
    found = _Certificates({}, {}, {})
    for site in sites:
        chain = b"".join(_content(one.words[0]) for one in site.all(dialect.chain)[-1:] if one.words)
        for file in (one.words[0] for one in site.all(dialect.certificate) if one.words):
            if file in found.served or "$" in file:  # a place that only a handshake fills
                continue
            try:
                content = content_of(file)
            except OSError as error:
                found.served[file] = Served(file, problem=error.strerror or str(error))
                continue
            if content is None:
                found.served[file] = Served(file, problem="there is no such file")
                continue
            served, leaf, question = stapling_facts.served(file, content, chain)
            beside = _content(file + dialect.beside) if dialect.beside else b""
            if leaf is not None and beside:
                served = replace(served, staple=stapling_facts.staple(file + dialect.beside, beside, [leaf], now))
            found.served[file], found.questions[file] = served, question
            if leaf is not None:
                found.leaves[file] = leaf
    return found


def _staples(cases: Sequence[stapling.Case], certificates: _Certificates, now: float) -> Iterator[tuple[str, Staple]]:
    """The staples in files that the configuration names, each with the certificates that it may be for."""
    for file in {one.staple for one in cases if one.staple and one.served.staple is None}:
        files = {one.served.file for one in cases if one.staple == file}
        leaves = [leaf for one, leaf in certificates.leaves.items() if one in files]
        content = _content(file)
        yield file, stapling_facts.staple(file, content, leaves, now) if content else Staple(file, "it is not there")


def _missing_folders(found: Parsed, dialect: Dialect) -> frozenset[str]:
    """The folders of the caches that the configuration names and that are not there."""
    wanted = dialect.cache.lower()
    words = [one.words[0] for one in walk(found.tree) if wanted and one.name.lower() == wanted and one.words]
    folders = {word.partition(":")[2].partition("(")[0].rpartition("/")[0] for word in words}
    return frozenset(folder for folder in folders if folder.startswith("/") and not os.path.isdir(folder))


def _symptoms(found: Parsed, dialect: Dialect, now: float) -> Iterator[Symptom]:
    wanted = dialect.log.lower()
    words = [one.words[0] for one in walk(found.tree) if wanted and one.name.lower() == wanted and one.words]
    for log in dict.fromkeys(
        os.path.join(found.folder, word) for word in words if not word.startswith(("|", "syslog:"))
    ):
        yield from stapling_log.symptoms(log, end_of(log), dialect, now)


def _content(file: str) -> bytes:
    """The content of *file*; b"" where it cannot be read."""
    try:
        return content_of(file) or b""
    except OSError:
        return b""
