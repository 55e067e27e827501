"""certfleet-agent: the words of the command line. The commands themselves are in agent/commands."""

import argparse
import gc
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.model.host_key import KEY_TYPES
from agent.settings.places import usual_file
from common.command_line import CommandLine, Handler, add_nagios, add_probe
from common.egress import FORMATS

_ONLY = "only these certificates; default: all that are configured"


def _later(module: str, function: str) -> Handler:
    """A handler that imports its module when it is called, so that a command pays for its own libraries only."""

    def handle(arguments: argparse.Namespace) -> int:
        gc.disable()  # imports make no garbage, and looking for it takes 5 % of a run without news
        command: Callable[[argparse.Namespace], int] = getattr(
            importlib.import_module(f"agent.commands.{module}"), function
        )
        return command(arguments)

    return handle


def build() -> CommandLine:
    """The whole command line."""
    line = CommandLine("certfleet-agent", "Keeps the certificates of this host fresh.", usual_file())
    _init(line)
    _request(line)
    _run(line)
    _rollback(line)
    _hold(line)
    text = "look at everything that the next install depends on; changes nothing"
    check = line.command("check", _later("check", "check"), text, reports=True)
    add_nagios(check)
    _obey_owner(check)
    status = line.command(
        "status", _later("status", "status"), "show the last result of each certificate", reports=True
    )
    status.add_argument("name", nargs="*", metavar="NAME", help=_ONLY)
    add_probe(line, _later("probe", "probe"))
    text = "what the firewall must let through, where that is now, and whether it is reached from here"
    egress = line.command("egress", _later("egress", "egress"), text, reports=True)
    text = "the addresses outwards as a list for a firewall (docs/egress.md)"
    egress.add_argument("--format", choices=["table", *FORMATS], default="table", help=text)
    presets = line.command("presets", _later("presets", "presets"), "show what is known about services", reports=True)
    presets.add_argument("name", nargs="?", metavar="NAME", help="one preset in full")
    return line


def _init(line: CommandLine) -> None:
    init = line.command("init", _later("init", "init"), "write a commented agent.toml for the services found here")
    init.add_argument(
        "name",
        nargs="*",
        metavar="NAME",
        help="certificates to write an entry for; where agent.toml is there already, to print one for",
    )
    init.add_argument("--state-dir", metavar="FOLDER", help="default: /var/lib/certfleet-agent")
    init.add_argument("--source", metavar="URL", help="where certificates come from; default: a line to edit")
    init.add_argument("--password-file", metavar="FILE", help="with the password of the source, mode 0600")
    init.add_argument("--tls-ca", metavar="FILE", help="the CA of the source (default: the system's)")
    text = "the key whose statements count, as `certfleet-issuer key show` prints it"
    init.add_argument("--issuer-key", metavar="KEY", help=text)
    text = "a preset for the entries (default: the first that runs here); again for a certificate of several services"
    init.add_argument("--service", action="append", default=[], metavar="PRESET", help=text)
    text = "as root: systemd's units and a link too, and key and CSR of every NAME; once more after a change of files"
    init.add_argument("--system", action="store_true", help=text)


def _request(line: CommandLine) -> None:
    plain, for_later = _later("request", "request"), _later("request_next", "request_next")
    request = line.command(
        "request",
        lambda arguments: (for_later if arguments.next else plain)(arguments),
        "make the key (0600, never overwritten) and the CSR; a second run uses the key that is there",
        reports=True,
    )
    text = "the certificate's name: www.example.com, *.example.com, 192.0.2.7; further names of it with --san"
    request.add_argument("name", nargs="+", metavar="NAME", help=text)
    request.add_argument("--san", nargs="+", action="extend", default=[], metavar="NAME", help="further names")
    request.add_argument(
        "--key-type",
        choices=KEY_TYPES,
        default="",
        help="for a new key; default ecdsa-p256, with --next the type of the live one",
    )
    request.add_argument(
        "--key", type=Path, metavar="FILE", help="default: agent.toml's, else /etc/ssl/private/NAME.key"
    )
    request.add_argument("--csr", metavar="FILE", help="default: NAME.csr in the current folder; - is standard output")
    text = "also make a self-signed certificate for each live file that is missing and that a service needs to start"
    request.add_argument("--interim", action="store_true", help=text)
    text = "make a key and a CSR beside the live ones; the key goes live together with its certificate"
    request.add_argument("--next", action="store_true", help=text)
    _obey_owner(request)


def _run(line: CommandLine) -> None:
    really, as_rehearsal = _later("run", "run"), _later("dry_run", "dry_run")
    run = line.command(
        "run",
        lambda arguments: (as_rehearsal if arguments.dry_run else really)(arguments),
        "the daily cron: pull, verify, install, activate, prove",
        reports=True,
    )
    run.add_argument("name", nargs="*", metavar="NAME", help=_ONLY)
    _obey_owner(run)
    run.add_argument("--dry-run", action="store_true", help="tell what would change, and change nothing")
    run.add_argument("--retry", action="store_true", help="try again now what was refused or has failed")


def _obey_owner(command: argparse.ArgumentParser) -> None:
    text = "act as root although another user can change agent.toml or state_dir, and so have root do anything"
    command.add_argument("--obey-owner", action="store_true", help=text)


def _rollback(line: CommandLine) -> None:
    text = "go back to a certificate that was in place before, and stay there until a newer one comes"
    rollback = line.command("rollback", _later("rollback", "rollback"), text, reports=True)
    rollback.add_argument("name", metavar="NAME", help="the certificate, as agent.toml names it")
    _obey_owner(rollback)
    text = "the serial number of a kept certificate; default: that of the one before"
    rollback.add_argument("--to", default="", metavar="SERIAL", help=text)


def _hold(line: CommandLine) -> None:
    text = "take nothing new for these certificates on this host for a while"
    hold = line.command("hold", _later("hold", "hold"), text)
    hold.add_argument("name", nargs="+", metavar="NAME", help="the certificates, as agent.toml names them")
    text = "2026-12-31 (to its end), or 2026-12-31T06:00: this host's time, unless it says another like Z or +01:00"
    hold.add_argument("--until", required=True, metavar="DATE", help=text)
    hold.add_argument("--reason", default="", metavar="TEXT", help="shown by `status`, here and at the issuer")
    _obey_owner(hold)
    text = "end a hold, and what `rollback` holds: the next run takes what the source offers"
    release = line.command("release", _later("hold", "release"), text)
    release.add_argument("name", nargs="+", metavar="NAME", help="the certificates, as agent.toml names them")
    _obey_owner(release)


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script. *arguments* are those of the process unless given. Returns the exit code."""
    return build().run(arguments)
