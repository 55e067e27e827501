"""``certfleet-agent``: the command line, and the only place that builds the real adapters."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from agent.host.state_folder import StateFolder
from agent.model.certificate import Certificate, file_stem
from agent.model.probe_targets import ProbeTarget, parse_target
from agent.settings.config import DEFAULT_FILE, SourceSettings, load_settings
from agent.settings.preset import Preset, load_preset, preset_names
from common.command_line import CommandLine, report, say, table
from common.config import nonempty, path
from common.errors import ConfigError, Finding, UsageError
from common.names import parse_dns_name
from common.owners import who_directs_root

T = TypeVar("T")

# the words of agent.host.keys, which is imported only when a key is made
_KEY_TYPES = ("rsa2048", "rsa3072", "rsa4096", "ecdsa-p256", "ecdsa-p384")


def build() -> CommandLine:
    """The whole command line."""
    line = CommandLine("certfleet-agent", "Keeps the certificates of this host fresh.", DEFAULT_FILE)
    _add_init(line)
    _add_request(line)
    _add_run(line)
    line.command("status", status_command, "show the last result of each certificate", reports=True)
    probe = line.command("probe", probe_command, "show which certificate a live socket serves", reports=True)
    probe.add_argument("target", nargs="+", metavar="TARGET", help="https://host[:port][?connect=ADDRESS[:port]] …")
    presets = line.command("presets", presets_command, "show what is known about services", reports=True)
    presets.add_argument("name", nargs="?", metavar="NAME", help="one preset in full")
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script."""
    return build().run(arguments)


def _add_init(line: CommandLine) -> None:
    init = line.command("init", init_command, "write a commented agent.toml for the services found on this host")
    init.add_argument("name", nargs="*", metavar="NAME", help="certificates to write an entry for")
    init.add_argument("--state-dir", default="/var/lib/certfleet-agent", metavar="FOLDER")
    init.add_argument("--source", default="mysql://agent-NAME@db.example.com/certfleet", metavar="URL")


def _add_request(line: CommandLine) -> None:
    request = line.command(
        "request",
        request_command,
        "make the key (0600, never overwritten) and the CSR; a second run uses the key that is there",
        reports=True,
    )
    request.add_argument("name", metavar="NAME", help="the certificate's name, like www.example.com or *.example.com")
    request.add_argument("--san", nargs="+", action="extend", default=[], metavar="NAME", help="further names")
    request.add_argument("--key-type", choices=_KEY_TYPES, default="", help="for a new key; default ecdsa-p256")
    request.add_argument(
        "--key", type=Path, metavar="FILE", help="default: agent.toml's, else /etc/ssl/private/NAME.key"
    )
    request.add_argument("--csr", metavar="FILE", help="default: NAME.csr in the current folder; - is standard output")


def _add_run(line: CommandLine) -> None:
    run = line.command("run", run_command, "the daily cron: pull, verify, install, activate, prove", reports=True)
    run.add_argument(
        "name", nargs="*", metavar="NAME", help="only these certificates; default: all that are configured"
    )
    run.add_argument("--retry", action="store_true", help="try refused certificates again before their time")


def init_command(options: argparse.Namespace) -> int:
    from agent.commands.init import init, services_found  # noqa: PLC0415 - each command pays for its own imports only
    from agent.source.open import open_source  # noqa: PLC0415

    state_dir = _option("--state-dir", path, options.state_dir)
    source = SourceSettings(_option("--source", nonempty, options.source))
    open_source(source, options.config).close()
    services = services_found()
    names = [_name(name) for name in options.name]
    init(options.config, state_dir, source.url, names, services)
    say(f"wrote {options.config}; services found here: {', '.join(services) or 'none'}")
    say(f"state folder {state_dir}")
    say("next: edit it, then `certfleet-agent request NAME`, and take the CSR to the issuer")
    return 0


def request_command(options: argparse.Namespace) -> int:
    from agent.journey.request import Request, request  # noqa: PLC0415

    name = _name(options.name)
    entry = _configured(options, name)
    further = [_name(part) for text in options.san for part in text.split(",") if part]
    names = tuple(dict.fromkeys([name, *further, *(sorted(entry.names) if entry else [])]))
    stem = file_stem(name)
    key_file = (options.key or (entry.key if entry else Path("/etc/ssl/private") / f"{stem}.key")).absolute()
    to_stdout = options.csr == "-"
    csr_file = None if to_stdout else Path(options.csr or f"{stem}.csr").absolute()
    made = request(Request(names, key_file, options.key_type, csr_file))
    if options.json:
        report(
            {
                "name": name,
                "names": names,
                "key": str(key_file),
                "key_created": made.key_created,
                "key_type": made.key_type,
                "spki_sha256": made.key_spki_sha256,
                "csr": str(csr_file) if csr_file else None,
                "csr_written": made.csr_written,
                "csr_pem": made.csr_pem.decode(),
            }
        )
        return 0
    out = sys.stderr if to_stdout else sys.stdout
    out.write(f"key {key_file} ({made.key_type}, {'new' if made.key_created else 'kept as it was'})\n")
    if to_stdout:
        sys.stdout.write(made.csr_pem.decode())
    else:
        out.write(f"csr {csr_file} ({'written' if made.csr_written else 'was there already'}) for {', '.join(names)}\n")
    out.write(f"key's SHA-256 {made.key_spki_sha256}\n")
    return 0


def run_command(options: argparse.Namespace) -> int:
    from agent.commands.show import result_document, show_result  # noqa: PLC0415
    from agent.host.programs import Commands  # noqa: PLC0415
    from agent.host.signals import deferred  # noqa: PLC0415
    from agent.host.sockets import Prober  # noqa: PLC0415
    from agent.journey.run import Run  # noqa: PLC0415
    from agent.journey.steps import Tools  # noqa: PLC0415
    from agent.source.open import open_source, own_files  # noqa: PLC0415
    from common.files import locked  # noqa: PLC0415

    settings, certificates = load_settings(options.config)
    if director := who_directs_root(options.config):
        sys.stderr.write(f"warning: {director} can make root run any command by it: keep it in a folder of root's\n")
    selected = _selected(options, certificates)
    source = open_source(settings.source, options.config)
    state = StateFolder(settings.state_dir)
    state.create()
    keys = {one.key for one in certificates}
    protected = (settings.state_dir, options.config, *keys, *own_files(settings.source))
    tools = Tools(state, Commands(settings.command_timeout), Prober(settings.probe_timeout), protected)
    run = Run(source, tools, os.uname().nodename, time.time(), options.retry)
    results = []
    with locked(state.lock_file, doing="run"), deferred() as stop_asked:
        try:
            for result in run.over(certificates, selected):
                results.append(result)
                show_result(result, silent=options.json or getattr(options, "quiet", False))
                if stop_asked():
                    break
        finally:
            source.close()
    unfinished = len({one.name for one in selected} - {one.name for one in results})
    if unfinished:
        sys.stderr.write(f"stopped on request; {unfinished} certificates were not looked at\n")
    if options.json:
        report({"certificates": [result_document(result) for result in results], "stopped": bool(unfinished)})
    return 0 if not unfinished and all(result.outcome.is_well for result in results) else 1


def status_command(options: argparse.Namespace) -> int:
    from agent.commands.status import HEAD, statuses  # noqa: PLC0415
    from common.clock import utc_text  # noqa: PLC0415

    settings, certificates = load_settings(options.config)
    state = StateFolder(settings.state_dir)
    found = statuses(certificates, state, time.time())
    last_run = state.last_run()
    if options.json:
        document = {"last_run": utc_text(last_run) if last_run else None}
        report({**document, "certificates": [one.document() for one in found]})
    else:
        say(f"last run {utc_text(last_run) if last_run else 'never'}")
        say(table(HEAD, [one.row() for one in found]))
        for one in found:
            if one.record is not None and one.record.detail:
                say(f"{one.name}: {one.record.detail}")
            if one.record is not None and one.record.refusal is not None:
                refusal = one.record.refusal
                say(f"{one.name}: refused {refusal.sha256[:16]}…, next attempt after {utc_text(refusal.until)}")
    return 0 if all(one.is_well for one in found) else 1


def probe_command(options: argparse.Namespace) -> int:
    from agent.commands.look import facts  # noqa: PLC0415
    from agent.commands.show import show_facts  # noqa: PLC0415
    from agent.host.sockets import Prober  # noqa: PLC0415

    targets = [_target(text) for text in options.target]
    prober, now = Prober(0), time.time()
    found = [facts(sight, one.server_name, now) for one in targets for sight in prober.look([one], "")]
    if options.json:
        report({"targets": found})
    else:
        for one in found:
            show_facts(one)
    return 0 if all(one["well"] for one in found) else 1


def presets_command(options: argparse.Namespace) -> int:
    if options.name is None:
        presets = [preset for preset in map(load_preset, preset_names()) if preset is not None]
        if options.json:
            report([_preset_document(preset) for preset in presets])
        else:
            say(table(["NAME", "NOTE"], [[preset.name, preset.note] for preset in presets]))
        return 0
    found = load_preset(options.name)
    if found is None:
        raise UsageError(f"there is no preset {options.name!r}", hint=f"there are: {', '.join(preset_names())}")
    if options.json:
        report(_preset_document(found))
    else:
        _show_preset(found)
    return 0


def _preset_document(preset: Preset) -> dict[str, Any]:
    return {
        "name": preset.name,
        "note": preset.note,
        "files": dict(preset.files),
        "check": preset.check,
        "activate": preset.activate,
        "probe": preset.probe,
    }


def _show_preset(preset: Preset) -> None:
    say(f"name      {preset.name}")
    say(f"note      {preset.note}")
    for kind, file in preset.files:
        say(f"file      {kind} = {file}")
    for label, commands in (("check", preset.check), ("activate", preset.activate)):
        for command in commands:
            say(f"{label:9} {' '.join(command)}")
    say(f"probe     {' '.join(preset.probe)}")


def _name(text: str) -> str:
    try:
        return parse_dns_name(text)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _option(option: str, parser: Callable[[str], T], value: str) -> T:
    """What the same value would be in agent.toml."""
    try:
        return parser(value)
    except ValueError as error:
        raise UsageError(f"{option} {error}") from error


def _target(text: str) -> ProbeTarget:
    try:
        return parse_target(text if "://" in text else f"https://{text}")
    except ValueError as error:
        raise ConfigError("probe", [Finding("", str(error))]) from error


def _configured(options: argparse.Namespace, name: str) -> Certificate | None:
    """The entry of agent.toml, where there is one: a new host has none yet, and needs none for a request."""
    if options.config == Path(DEFAULT_FILE) and not os.path.exists(options.config):
        return None
    _, certificates = load_settings(options.config)
    return next((one for one in certificates if one.name == name), None)


def _selected(options: argparse.Namespace, certificates: tuple[Certificate, ...]) -> list[Certificate]:
    if not certificates:
        finding = Finding("certificate", "none is configured")
        raise ConfigError(str(options.config), [finding], hint="add a [[certificate]]")
    by_name = {one.name: one for one in certificates}
    wanted = [_name(name) for name in options.name] or list(by_name)
    unknown = [name for name in wanted if name not in by_name]
    if unknown:
        hint = f"configured are: {', '.join(by_name)}"
        raise UsageError(f"not configured in {options.config}: {', '.join(unknown)}", hint=hint)
    return [by_name[name] for name in dict.fromkeys(wanted)]
