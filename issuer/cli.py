"""certfleet-issuer: the words of the command line. issuer/commands/ has what each of them does."""

import argparse
import gc
import importlib
import sys
from collections.abc import Callable
from typing import Any

from common.command_line import CommandLine, Handler
from common.late_log import load


def _later(module: str, function: str) -> Handler:
    """A handler that imports its module when it is called: SQLAlchemy, Alembic and acme take a second together."""

    def handle(arguments: argparse.Namespace) -> int:
        # An import makes many objects and no garbage. Without collection the import for `run` takes 0.52 s of CPU, with
        # it 0.58 s: 1.12 times faster, quartiles 1.08 to 1.16 of 15 rounds.
        gc.disable()
        load()
        command: Callable[[argparse.Namespace], Any] = getattr(
            importlib.import_module(f"issuer.commands.{module}"), function
        )
        gc.freeze()
        gc.enable()
        return int(command(arguments) or 0)

    return handle


def build() -> CommandLine:
    """The whole command line."""
    line = CommandLine(
        "certfleet-issuer", "Obtains TLS certificates by ACME into a database.", "/etc/certfleet/issuer.toml"
    )
    _set_up(line)
    _enrolment(line)
    _issuing(line)
    _staged(line)
    _versions(line)
    return line


def _set_up(line: CommandLine) -> None:
    line.command("init", _later("setup", "init"), "write a commented issuer.toml, the state folder and the account key")
    database = line.group("db", "create, migrate and look at the database")
    database.command("upgrade", _later("database", "upgrade"), "create the tables, or adopt and migrate existing ones")
    database.command("status", _later("database", "status"), "show the schema's revision", reports=True)
    grants = database.command("grants", _later("database", "grants"), "print the GRANTs for an agent's account")
    grants.add_argument("account", metavar="USER", help="the agent's database account")
    grants.add_argument("--host", default="%", help="where it may connect from (default: anywhere)")
    zone = line.command(
        "zone", _later("zone", "zone"), "print the dynamic sub-zone of a name, ready to paste", reports=True
    )
    zone.add_argument("name", metavar="NAME", nargs="+")
    zone.add_argument(
        "--server", choices=["bind", "knot", "powerdns"], default="bind", help="the name server's make (default: bind)"
    )
    zone.add_argument(
        "--ns", action="append", default=[], metavar="HOST", help="a name server of the sub-zone; repeatable"
    )
    check = line.command(
        "check",
        _later("check", "check"),
        "look at everything that issuing depends on; each sub-zone gets a test record",
        reports=True,
    )
    check.add_argument("name", metavar="NAME", nargs="*", help="a certificate (default: all that are enrolled)")
    check.add_argument(
        "--wait", default="1m", metavar="TIME", help="how long every name server may take to show the record (1m)"
    )


def _enrolment(line: CommandLine) -> None:
    populate = line.command(
        "populate", _later("enrolment", "populate"), "enrol a name with its CSR; disabled until enabled"
    )
    populate.add_argument("name", metavar="NAME")
    populate.add_argument(
        "--csr", metavar="FILE", default="", help="the CSR; - is standard input (default: csr_dir/NAME.csr)"
    )
    populate.add_argument(
        "--label", action="store_true", help="NAME is a label of your own, not one of the CSR's names"
    )
    populate.add_argument(
        "--webroot",
        metavar="PATH",
        default="",
        help="validate by http-01 through this webroot: a folder, or sftp://user@host/folder (default: by dns-01)",
    )
    populate.add_argument("--comment", default="", help="kept in the database")
    for word, help_text in (("enable", "renew automatically from now on"), ("disable", "stop automatic renewal")):
        line.command(word, _later("enrolment", word), help_text).add_argument("name", metavar="NAME", nargs="+")
    remove = line.command("remove", _later("enrolment", "remove"), "forget a certificate; its history is kept")
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def _issuing(line: CommandLine) -> None:
    run = line.command("run", _later("issuing", "run"), "issue all that is due, retry failures, end", reports=True)
    run.add_argument("name", metavar="NAME", nargs="*")
    run.add_argument("--retry", action="store_true", help="try what failed again before its time")
    line.command("daemon", _later("daemon", "daemon"), "the same for ever, each certificate at its own moment")
    for word, help_text in (
        ("issue", "issue now, whether due or not"),
        ("reissue", "replace an existing certificate now, whether due or not"),
    ):
        command = line.command(word, _later("issuing", word), help_text, reports=True)
        command.add_argument("name", metavar="NAME", nargs="+" if word == "issue" else "*")
        if word == "issue":
            command.add_argument(
                "--lift-hold",
                action="store_true",
                help="delete the CA's hold: it has lifted its limit since",
            )
        if word == "reissue":
            command.add_argument("--all", action="store_true", help="every enabled certificate that was issued before")
            command.add_argument(
                "--issued-by", metavar="CA", help="every enabled certificate whose issuer's name contains CA"
            )
    status = line.command("status", _later("status", "status"), "show what is enrolled and how it is", reports=True)
    status.add_argument("name", metavar="NAME", nargs="*")


def _staged(line: CommandLine) -> None:
    challenges = line.command(
        "challenges", _later("by_hand", "challenges"), "by hand, 1: show what to publish", reports=True
    )
    challenges.add_argument("name", metavar="NAME")
    solve = line.command(
        "solve", _later("by_hand", "solve"), "by hand, 2: look at what was published, and let the CA validate it"
    )
    solve.add_argument("name", metavar="NAME")
    solve.add_argument("--force", action="store_true", help="ask the CA although the answer is not visible from here")
    request = line.command(
        "request", _later("by_hand", "request"), "by hand, 3: hand in the CSR, store the certificate"
    )
    request.add_argument("name", metavar="NAME")


def _versions(line: CommandLine) -> None:
    history = line.command(
        "history", _later("versions", "history"), "show every version and event of a name", reports=True
    )
    history.add_argument("name", metavar="NAME")
    rollback = line.command("rollback", _later("versions", "rollback"), "make an earlier certificate the present one")
    rollback.add_argument("name", metavar="NAME")
    rollback.add_argument("--serial", default="", help="which one (default: the one before the present)")
    take_in = line.command(
        "import", _later("versions", "take_in"), "carry a certificate from outside; never renewed by ACME"
    )
    take_in.add_argument("name", metavar="NAME")
    take_in.add_argument(
        "--crt", metavar="FILE", required=True, help="the certificate, PEM; its chain may follow in it"
    )
    take_in.add_argument("--chain", metavar="FILE", default="", help="the chain, if it is in a file of its own")
    take_in.add_argument("--label", action="store_true", help="NAME is a label of your own, not one of its names")
    take_in.add_argument("--comment", default="", help="kept in the database")
    revoke = line.command("revoke", _later("versions", "revoke"), "have the CA revoke a certificate")
    revoke.add_argument("name", metavar="NAME")
    revoke.add_argument(
        "--reason",
        type=int,
        choices=[0, 1, 4, 5],
        default=0,
        help="0 unspecified, 1 key compromise, 4 superseded, 5 cessation of operation",
    )
    revoke.add_argument("--serial", default="", help="an earlier one (default: the present one)")
    revoke.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def main() -> None:
    """The console script."""
    sys.exit(build().run())
