"""certfleet-agent: the words of the command line. What each command does stands in agent/commands."""

import argparse
import gc
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

from common.command_line import CommandLine, Handler

_KEY_TYPES = ("rsa2048", "rsa3072", "rsa4096", "ecdsa-p256", "ecdsa-p384")


def _later(module: str, function: str) -> Handler:
    """A handler that imports its module when it is called, so that a command pays for its own libraries only."""

    def handle(arguments: argparse.Namespace) -> int:
        gc.disable()  # a run lasts as long as its imports, which make no garbage: 5 % of the time of one without news
        command: Callable[[argparse.Namespace], int] = getattr(
            importlib.import_module(f"agent.commands.{module}"), function
        )
        return command(arguments)

    return handle


def build() -> CommandLine:
    """The whole command line."""
    line = CommandLine("certfleet-agent", "Keeps the certificates of this host fresh.", "/etc/certfleet/agent.toml")
    _init(line)
    _request(line)
    _run(line)
    text = "look at what a run depends on, and whose word counts; changes nothing"
    line.command("check", _later("check", "check"), text, reports=True)
    line.command("status", _later("status", "status"), "show the last result of each certificate", reports=True)
    probe = line.command("probe", _later("probe", "probe"), "show which certificate a live socket serves", reports=True)
    probe.add_argument(
        "target", nargs="+", metavar="TARGET", help="https://host[:port], smtp://host, … (docs/probe.md)"
    )
    presets = line.command("presets", _later("presets", "presets"), "show what is known about services", reports=True)
    presets.add_argument("name", nargs="?", metavar="NAME", help="one preset in full")
    return line


def _init(line: CommandLine) -> None:
    init = line.command("init", _later("init", "init"), "write a commented agent.toml for the services found here")
    init.add_argument("name", nargs="*", metavar="NAME", help="certificates to write an entry for")
    init.add_argument("--state-dir", default="/var/lib/certfleet-agent", metavar="FOLDER")
    init.add_argument("--source", default="mysql://agent-NAME@db.example.com/certfleet", metavar="URL")
    init.add_argument("--password-file", metavar="FILE", help="with the password of the source, mode 0600")
    init.add_argument("--tls-ca", metavar="FILE", help="the CA of the source (default: the system's)")
    text = "the key whose statements count, as `certfleet-issuer key show` prints it"
    init.add_argument("--issuer-key", metavar="KEY", help=text)
    text = "as root: systemd's units and a link too, and key and CSR of every NAME; once more after a change of files"
    init.add_argument("--system", action="store_true", help=text)


def _request(line: CommandLine) -> None:
    request = line.command(
        "request",
        _later("request", "request"),
        "make the key (0600, never overwritten) and the CSR; a second run uses the key that is there",
        reports=True,
    )
    request.add_argument(
        "name", metavar="NAME", help="the certificate's name: www.example.com, *.example.com, 192.0.2.7"
    )
    request.add_argument("--san", nargs="+", action="extend", default=[], metavar="NAME", help="further names")
    request.add_argument("--key-type", choices=_KEY_TYPES, default="", help="for a new key; default ecdsa-p256")
    request.add_argument(
        "--key", type=Path, metavar="FILE", help="default: agent.toml's, else /etc/ssl/private/NAME.key"
    )
    request.add_argument("--csr", metavar="FILE", help="default: NAME.csr in the current folder; - is standard output")


def _run(line: CommandLine) -> None:
    run = line.command(
        "run", _later("run", "run"), "the daily cron: pull, verify, install, activate, prove", reports=True
    )
    run.add_argument(
        "name", nargs="*", metavar="NAME", help="only these certificates; default: all that are configured"
    )
    run.add_argument("--retry", action="store_true", help="try refused certificates again before their time")


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script. *arguments* are those of the process unless given. Returns the exit code."""
    return build().run(arguments)
