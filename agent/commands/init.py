"""init: makes a first, commented agent.toml for this host, with an entry for each name given; without names, with a
sample entry for each service found here. Later it makes the entry of each further name."""

import argparse
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from agent.commands.entry import entries, quoted
from agent.commands.request import request
from agent.commands.run import ROOTS_OWN, roots_own
from agent.commands.sandbox import fit_unit
from agent.commands.wiring import name_in
from agent.host.files import LocalFiles
from agent.host.presence import presence, running
from agent.rules.targets import ELSEWHERE_HINT, lost_at_update
from agent.settings.config import AgentSettings, SourceSettings, TrustSettings, load_settings, settings_in
from agent.settings.places import DEFAULT_FILE, ROOTS_FILE
from agent.settings.preset import Preset, Presets
from agent.settings.values import issuer_key
from agent.source.open import open_source
from common.command_line import complain, say
from common.config import nonempty, path
from common.dataclasses import dataclass, replace
from common.errors import FileError, RefusedError, UsageError
from common.files import create_new, make_folder, make_private_folder
from common.owners import who_directs_root
from common.system import enable, install_units, link, program, require_root

T = TypeVar("T")
_STATE_DIR = "/var/lib/certfleet-agent"
_SOURCE = "mysql://agent-NAME@db.example.com/certfleet"
_WEB = "https://{name}"  # the probe of a preset for a web server

_HEAD = """\
# agent.toml: which certificates this host takes, from where, and what is done with them.
# Every key and its default stand in agent.example.toml. Secrets stand in files of their own, never here.

state_dir = {state_dir}

[source]
url = {url}
{password_file}   # mode 0600
{tls_ca}   # without it: the system's trust store; TLS is always verified

[trust]
{issuer_key}   # `certfleet-issuer key show` prints it; without it the database is believed
# roots = "/etc/ssl/our-ca.pem"   # for a CA of your own; without it, a chain must lead to the system's trust store
"""


def init(arguments: argparse.Namespace) -> int:
    """Write agent.toml with an entry for each NAME, make the state folder, and with --system set up the rest of this
    host. An agent.toml that exists is kept: the entries of further NAMEs are printed, and with --system appended."""
    started = _started() if arguments.system else None
    names = list(dict.fromkeys(name_in(name) for name in arguments.name))
    arguments.config = _place(arguments.config)
    if os.path.lexists(arguments.config):
        _extend(arguments, names, append=started is not None)
    else:
        _write(arguments, names)
        if started is None:
            say("next: edit it, then `certfleet-agent request NAME`, and take the CSR to the issuer")
    _warn_of_lost_files(arguments.config)
    if started is not None:
        _set_up(started, names, arguments)
    return 0


def _warn_of_lost_files(config: Path) -> None:
    """Warn of each live file of this host in agent.toml that the operating system would delete later."""
    files = [file.path for one in load_settings(config)[1] if one.host is None for file in one.files]
    for sentence in lost_at_update({file: Path(os.path.realpath(file)) for file in files}):
        complain(f"warning: {sentence}", f"  {ELSEWHERE_HINT}")


def _place(config: Path) -> Path:
    """The agent.toml to write. Where another user controls the usual folder, it is in one of root's own."""
    if config != Path(DEFAULT_FILE) or os.path.lexists(config) or not (director := who_directs_root(config)):
        return config
    say(f"{director} could make root run any command by {config}: it goes to {ROOTS_FILE}")
    return Path(ROOTS_FILE)


def _started() -> Path:
    require_root()
    return program("certfleet-agent")


def _write(arguments: argparse.Namespace, names: Sequence[str]) -> None:
    """Write a new agent.toml and make the state folder. Raises UsageError, ConfigError, RefusedError, FileError."""
    state_dir = _option("--state-dir", path, arguments.state_dir or _STATE_DIR)
    source = SourceSettings(
        _option("--source", nonempty, _SOURCE if arguments.source is None else arguments.source),
        password_file=_file_option("--password-file", arguments.password_file),
        tls_ca=_file_option("--tls-ca", arguments.tls_ca),
    )
    trust = TrustSettings(_option("--issuer-key", issuer_key, arguments.issuer_key or ""))
    open_source(SourceSettings(source.url), arguments.config).close()  # raises ConfigError for a wrong URL
    services = _services(arguments)
    content = _text(state_dir, source, trust, names, services).encode()
    if len(names) > 1:  # a service may have files for one alone
        settings_in(content, arguments.config)
    _require_roots_own(arguments.config)
    _require_roots_state(state_dir)
    make_private_folder(state_dir)
    make_folder(arguments.config.parent)
    create_new(arguments.config, content, mode=0o644)
    say(f"wrote {arguments.config}; services found here: {', '.join(services.found) or 'none'}")
    say(f"state folder {state_dir}")


def _extend(arguments: argparse.Namespace, names: Sequence[str], *, append: bool) -> None:
    """agent.toml is there: print the entries of the *names* that are not in it, or append them."""
    config: Path = arguments.config
    if append:
        _require_roots_own(config)
    settings, certificates = load_settings(config)
    if append:
        _require_roots_state(settings.state_dir)
    _refuse_others(arguments, settings)
    missing = [name for name in names if name not in {one.name for one in certificates}]
    if not append and not missing:
        raise FileError(f"{config} exists already", hint="edit it; `init NAME` prints the entry of a further name")
    text = _entries(missing, _services(arguments))
    if not append:
        say(*text.splitlines())
        complain(
            f"{config} is kept as it is: append this entry to it, and edit it there",
            f"  `certfleet-agent init --system {shlex.join(missing)}` appends it, and makes key and CSR",
        )
    elif missing:
        _append(config, text.encode())
        say(f"appended {', '.join(missing)} to {config}")
    else:
        say(f"kept     {config}")


def _refuse_others(arguments: argparse.Namespace, settings: AgentSettings) -> None:
    """Raises UsageError for options that say something else than agent.toml, which is kept as it is."""
    source, trust = settings.source, settings.trust
    options: list[tuple[str, object, object]] = [
        ("--state-dir", _file_option("--state-dir", arguments.state_dir), settings.state_dir),
        ("--source", arguments.source, source.url),
        ("--password-file", _file_option("--password-file", arguments.password_file), source.password_file),
        ("--tls-ca", _file_option("--tls-ca", arguments.tls_ca), source.tls_ca),
        ("--issuer-key", arguments.issuer_key, trust.issuer_key),
    ]
    others = [option for option, given, present in options if given is not None and str(given) != str(present)]
    if others:
        hint = "edit it there, or leave the option out"
        raise UsageError(
            f"{arguments.config} exists already, and does not say the same as {', '.join(others)}", hint=hint
        )


def _append(config: Path, entries: bytes) -> None:
    """Append *entries* to *config*, whose owner, mode and attributes stay. Raises FileError; ConfigError where the
    result would not be well formed: then nothing is written."""
    files = LocalFiles()
    real = files.locate(config)
    live = files.read(real)
    if live is None:
        raise FileError(f"{config} is gone", hint="run the same command again")
    content = live.content.rstrip(b"\n") + b"\n" + entries
    settings_in(content, config)
    files.replace({real: replace(live, content=content)})
    files.release()


def _require_roots_own(config: Path) -> None:
    """Raises RefusedError where somebody besides root can edit *config*."""
    if director := who_directs_root(config):
        raise RefusedError(f"{director} could make root run any command by {config.name}", hint=roots_own())


def _require_roots_state(state_dir: Path) -> None:
    """Raises RefusedError where somebody besides root controls *state_dir*, or would: each run would refuse it."""
    if director := who_directs_root(state_dir):
        raise RefusedError(f"{director} could make root write any file by {state_dir}", hint=ROOTS_OWN)


def _set_up(started: Path, names: Sequence[str], arguments: argparse.Namespace) -> None:
    """Set up the rest of this host: a link, units that may write what agent.toml names, timer, and key and CSR of every
    NAME."""
    link(started)
    config = arguments.config.absolute()
    named = [] if arguments.config == Path(DEFAULT_FILE) else ["--config", str(config)]
    command = [str(started), *named, "run"]
    if install_units("agent.commands", ("certfleet-agent.service", "certfleet-agent.timer"), started):
        fit_unit(config, *load_settings(arguments.config), command=command)
        enable("certfleet-agent.timer")
    else:
        say(f"         with `{shlex.join([*command, '-q'])}` as the command in it")
    for name in names:
        plain: dict[str, object] = {"san": [], "key": None, "key_type": "", "csr": "", "interim": False, "json": False}
        request(argparse.Namespace(**vars(arguments) | {"name": [name]} | plain))
    _tell_what_the_source_lacks(arguments.config)
    if names:
        _tell_what_to_name(arguments, names)


def _tell_what_the_source_lacks(config: Path) -> None:
    """Say what has to be done before the source can be asked; nothing where all is there."""
    source = load_settings(config)[0].source
    if source.url == _SOURCE:
        say(f"next: write where your database is into {config}: `url` in [source] is an example")
    for what, file in (
        ("password of this host's account", source.password_file),
        ("CA of the database server", source.tls_ca),
    ):
        if file is not None and not file.exists():
            say(f"next: bring {file}, the {what}, from the issuer")


def _tell_what_to_name(arguments: argparse.Namespace, names: Sequence[str]) -> None:
    """Say which files the services' configuration must name for *names*, which other services run here (Postfix and
    Dovecot often share a certificate), and what comes next."""
    config: Path = arguments.config
    certificates = [one for one in load_settings(config)[1] if one.name in names]
    services = dict.fromkeys(service.name for one in certificates for service in one.services if service.name)
    files = [file for one in certificates for file in one.files]
    for file in files:
        say(f"file {file.path} = {', '.join(file.parts)}; the first run writes it")
    with_key = {file.holds_key for file in files}
    apart = "" if with_key == {True} else ", and the key where its note says so" if True in with_key else " and the key"
    presets = Presets(config)
    for name, preset in ((name, presets.load(name)) for name in services):
        if preset is not None:
            blind = "" if preset.probe else " Nothing is proven unless `probe` in agent.toml names a socket."
            say(f"note {preset.note}{blind} More: `certfleet-agent presets {name}`")
    others = [name for name in _services(arguments).runs if name not in services]
    if len(services) == 1 and others and not arguments.service:
        words = f'service = ["{next(iter(services))}", "{others[0]}"] in {config}'
        say(
            f"note only {next(iter(services))} gets it; running here too: {', '.join(others)}. For several: {words}, "
            "then the same command again"
        )
    say(
        "next: take each CSR to the issuer",
        f"next: let the service's configuration name these files{apart}, and do not reload it: the first run does",
        "next: `certfleet-agent run`",
    )


def _option(option: str, parser: Callable[[str], T], value: str) -> T:
    """The *value* of an option, parsed as agent.toml's is. Raises UsageError."""
    try:
        return parser(value)
    except ValueError as error:
        raise UsageError(f"{option} {error}") from error


def _file_option(option: str, value: str | None) -> Path | None:
    return None if value is None else _option(option, path, value)


@dataclass(frozen=True, slots=True)
class _Services:
    """*found*: the presets whose program is here, running services first, and of these, as of the others, web servers
    first. *runs*: the names of those that run. *taken*: those that an entry names, None for one that was not found."""

    found: Mapping[str, Preset]
    runs: Sequence[str]
    taken: Mapping[str, Preset | None]

    @property
    def others(self) -> list[str]:
        return [name for name in self.found if name not in self.taken]


def _services(arguments: argparse.Namespace) -> _Services:
    """The services of this host. The operator's choice is taken, else the first. Raises UsageError for an unknown
    one."""
    presets = Presets(arguments.config)
    every = {name: preset for name in presets.names if (preset := presets.load(name))}
    now = running()
    found = [(name, preset) for name, preset in every.items() if presence((), preset.programs).program]
    found = sorted(found, key=lambda each: (now.isdisjoint(each[1].processes), _WEB not in (each[1].probe or ())))
    for name in arguments.service:
        if name not in every:
            raise UsageError(f"--service: there is no preset {name!r}", hint="`certfleet-agent presets` lists them")
    first: dict[str, Preset | None] = {**dict(found[:1])} or {presets.names[0]: None}
    taken = {name: every[name] for name in arguments.service} or first
    runs = [name for name, preset in found if not now.isdisjoint(preset.processes)]
    return _Services(dict(found), runs, taken)


def _entries(names: Sequence[str], services: _Services) -> str:
    return entries(names, services.taken, services.others)


def _text(
    state_dir: Path,
    source: SourceSettings,
    trust: TrustSettings,
    names: Sequence[str],
    services: _Services,
) -> str:
    """The text of agent.toml. Without *names* its entries are comments, one for each of the services found here."""
    text = _HEAD.format(
        state_dir=quoted(str(state_dir)),
        url=quoted(source.url),
        password_file=_file("password_file", source.password_file, "/etc/certfleet/db.password"),
        tls_ca=_file("tls_ca", source.tls_ca, "/etc/certfleet/db-ca.pem"),
        issuer_key=f"issuer_key = {quoted(trust.issuer_key)}" if trust.issuer_key else '# issuer_key = "…"',
    )
    found = services.found
    text += "".join(f"\n# found on this host: {service}. {preset.note}\n" for service, preset in found.items())
    if names:
        return text + _entries(names, services)
    each: list[Mapping[str, Preset | None]] = [{name: found[name]} for name in found] or [services.taken]
    blocks = "".join(entries(["www.example.com"], one, []) for one in each)
    return text + "".join(f"# {line}\n" if line else "\n" for line in blocks.splitlines())


def _file(key: str, file: Path | None, example: str) -> str:
    return f"{key} = {quoted(str(file))}" if file else f'# {key} = "{example}"'
