"""certfleet-issuer: the words of the command line. issuer/commands/ has what each of them does."""

import argparse
import gc
import importlib
import sys
from collections.abc import Callable
from typing import Any

from common.clock import parse_duration
from common.command_line import CommandGroup, CommandLine, Handler, add_nagios, add_probe
from common.egress import FORMATS
from common.late_log import load
from issuer.model.reasons import REASONS, number_of


def _later(module: str, function: str) -> Handler:
    """A handler that imports its module when it is called: SQLAlchemy, Alembic and acme take a second together."""

    def handle(arguments: argparse.Namespace) -> int:
        # An import makes many objects and no garbage. Without collection the import for `run` takes 0.52 s of CPU, with
        # it 0.58 s: 1.12 times faster, quartiles 1.08 to 1.16 of 15 rounds.
        gc.disable()
        load()
        commands = importlib.import_module(f"issuer.commands.{module}")
        gc.freeze()
        gc.enable()
        command: Callable[[argparse.Namespace], Any] = getattr(commands, function)
        return int(command(arguments) or 0)

    return handle


def _init(arguments: argparse.Namespace) -> int:
    return (_later("system", "set_up") if arguments.system else _later("setup", "init"))(arguments)


def build() -> CommandLine:
    """The whole command line."""
    line = CommandLine(
        "certfleet-issuer", "Obtains TLS certificates by ACME into a database.", "/etc/certfleet/issuer.toml"
    )
    _set_up(line)
    _account(line)
    _keys(line)
    _hosts(line)
    _enrolment(line)
    _issuing(line)
    _watch(line)
    _transparency(line)
    _by_hand(line)
    _versions(line)
    _egress(line)
    return line


def _named(
    line: CommandLine | CommandGroup, word: str, handler: Handler, help_text: str, names: str = "", **options: bool
) -> argparse.ArgumentParser:
    """A command that takes one NAME, or with *names* one or more ("+"), or any number ("*")."""
    command = line.command(word, handler, help_text, **options)
    command.add_argument("name", metavar="NAME", nargs=names or None)
    return command


def _set_up(line: CommandLine) -> None:
    init = line.command("init", _init, "write a commented issuer.toml, the state folder and the account key")
    text = "as root: user, folders, key for the name server, tables, systemd's units too; keeps what is there"
    init.add_argument("--system", action="store_true", help=text)
    text = "with --system: the name server that takes updates; a key for it is made"
    init.add_argument("--server", metavar="ADDRESS", default="", help=text)
    text = "with --system: who gets mail about failures; repeatable"
    init.add_argument("--email", metavar="ADDRESS", action="append", default=[], help=text)
    text = "with --system: a database in the MariaDB of this machine (default: an SQLite file)"
    init.add_argument("--mariadb", action="store_true", help=text)
    text = "with --system: start `run` so often, or the daemon instead (docs/daemon.md); default: as it is, else daily"
    init.add_argument("--schedule", choices=["daily", "hourly", "daemon"], default="", help=text)
    database = line.group("db", "create, migrate and look at the database")
    database.command("upgrade", _later("database", "upgrade"), "create the tables, or adopt and migrate existing ones")
    database.command("status", _later("database", "status"), "show the schema's revision", reports=True)
    text = "make or renew a CA and the server's certificate in DIR, and print the settings for server and agents"
    tls = database.command("tls", _later("database_access", "tls"), text)
    tls.add_argument("folder", metavar="DIR", help="where the files are, like /etc/mysql/certfleet")
    text = "a name or address of the server; repeatable (default: as before, then that of [database] url)"
    tls.add_argument("--host", action="append", default=[], metavar="HOST", help=text)
    grants = database.command("grants", _later("database_access", "grants"), "print the GRANTs for an agent's account")
    grants.add_argument("account", metavar="USER", help="the agent's database account")
    grants.add_argument("--host", default="%", help="where it may connect from (default: anywhere)")
    account = grants.add_mutually_exclusive_group()
    account.add_argument("--create", action="store_true", help="and the CREATE USER before them")
    account.add_argument("--alter", action="store_true", help="and the ALTER USER that changes its password")
    text = "its password for that; a new one is written there if there is no such file"
    grants.add_argument("--password-file", metavar="FILE", default=None, help=text)
    _zone(line)
    text = "look at everything that issuing depends on; each sub-zone gets a test record"
    check = line.command("check", _later("check", "check"), text, reports=True)
    check.add_argument("name", metavar="NAME", nargs="*", help="a certificate (default: all that are enrolled)")
    text = "how long every name server may take to show the record (1m)"
    check.add_argument("--wait", default="1m", metavar="TIME", help=text)
    add_probe(line, _later("probe", "probe"))


def _zone(line: CommandLine) -> None:
    text = "print the dynamic sub-zone of a name, ready to paste"
    zone = _named(line, "zone", _later("zone", "zone"), text, "+", reports=True)
    makes = ["bind", "knot", "powerdns"]
    zone.add_argument("--server", choices=makes, default="bind", help="the name server's make (default: bind)")
    text = "a name server of the sub-zone, the primary first; repeatable"
    zone.add_argument("--ns", action="append", default=[], metavar="HOST", help=text)
    text = "the make of the secondaries (default: that of --server)"
    zone.add_argument("--secondary", choices=[*makes, "nsd"], default="", help=text)
    form = zone.add_mutually_exclusive_group()
    text = "print the record of dns-persist-01 instead, for our account at each CA"
    form.add_argument("--persist", action="store_true", help=text)
    text = "print the CAA record instead that lets our account alone have certificates for the name (RFC 8657)"
    form.add_argument("--caa", action="store_true", help=text)
    text = "BIND on Debian: one script for a root shell of the primary; it holds the key's secret"
    form.add_argument("--shell", action="store_true", help=text)
    text = "write the texts to files below this folder, by the machine that they are for"
    form.add_argument("--out", metavar="DIR", default=None, help=text)
    text = "with --caa: the only challenge type that is to be allowed (default: dns-01)"
    zone.add_argument("--method", metavar="TYPE", default=None, help=text)
    zone.add_argument("--force", action="store_true", help="with --out: replace files that are there")


def _account(line: CommandLine) -> None:
    account = line.group("account", "look at our account at a CA, change its key, end it")
    account.command("show", _later("account", "show"), "show our account at each CA; registers nothing", reports=True)
    text = "give the account another key; account, orders and limits stay"
    rollover = account.command("rollover", _later("account", "rollover"), text)
    deactivate = account.command("deactivate", _later("account", "deactivate"), "end the account for good")
    deactivate.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    for command in (rollover, deactivate):
        text = "the CA, by the directory URL in issuer.toml (default: that of [acme])"
        command.add_argument("--directory", metavar="URL", default=None, help=text)


def _keys(line: CommandLine) -> None:
    key = line.group("key", "the key that signs what hosts are given: look at it, change it, sign by hand")
    key.command("show", _later("keys", "show"), "print its public half, as agents pin it", reports=True)
    rollover = key.command("rollover", _later("keys", "rollover"), "make another key, and sign everything with it")
    text = "the old key is gone: no agent follows by itself"
    rollover.add_argument("--lost", action="store_true", help=text)
    text = "show the present certificates of NAMEs, and sign them: a person has looked"
    sign = key.command("sign", _later("keys", "sign"), text)
    sign.add_argument("name", metavar="NAME", nargs="+")
    sign.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def _hosts(line: CommandLine) -> None:
    hosts = line.group("hosts", "what the issuer remembers of the hosts that report")
    text = "forget hosts that are no more: else they are missed for 30 days"
    forget = hosts.command("forget", _later("hosts", "forget"), text)
    forget.add_argument("host", metavar="HOST", nargs="*")
    forget.add_argument("--account", metavar="ACCOUNT", default=None, help="only what this account has reported")


def _enrolment(line: CommandLine) -> None:
    text = "enrol names with their CSRs, or give a name another CSR; what is new is disabled until enabled"
    populate = _named(line, "populate", _later("enrolment", "populate"), text, "*")
    way = populate.add_mutually_exclusive_group()
    text = (
        "NAME is enrolled: this CSR, with any key and names, takes the place of its own once its certificate is stored"
    )
    way.add_argument("--replace", action="store_true", help=text)
    text = "the same for a CSR of the same key that adds names and loses none"
    way.add_argument("--append", action="store_true", help=text)
    text = "the CSR; - is standard input; a folder holds NAME.csr for each NAME, or for all (default: csr_dir)"
    populate.add_argument("--csr", metavar="FILE", default="", help=text)
    text = "NAME is a label of your own, not one of the CSR's names"
    populate.add_argument("--label", action="store_true", help=text)
    text = "validate by http-01 through this webroot: a folder, or sftp://user@host/folder (default: by dns-01)"
    populate.add_argument("--webroot", metavar="PATH", default="", help=text)
    text = "validate this one of its names in another way: dns-01, dns-persist-01 or a webroot; repeatable; without"
    text += " NAME= all of them"
    populate.add_argument("--by", action="append", default=[], metavar="[NAME=]WAY", help=text)
    populate.add_argument("--enable", action="store_true", help="enable what is new at once")
    populate.add_argument("--comment", default="", help="kept in the database")
    _named(line, "enable", _later("enrolment", "enable"), "renew automatically from now on", "+")
    _named(line, "disable", _later("enrolment", "disable"), "stop automatic renewal", "+")
    remove = _named(line, "remove", _later("removal", "remove"), "forget certificates; their history is kept", "+")
    remove.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    text = "look at rows that other programs wrote, and seal them as they are"
    adopt = _named(line, "adopt", _later("adopt", "adopt"), text, "*")
    text = "every row that no seal or statement fits; keys that are lost are made anew"
    adopt.add_argument("--all", action="store_true", help=text)
    adopt.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def _issuing(line: CommandLine) -> None:
    run = _named(line, "run", _later("issuing", "run"), "issue all that is due, retry failures, end", "*", reports=True)
    run.add_argument("--retry", action="store_true", help="try what failed again before its time")
    line.command("daemon", _later("daemon", "daemon"), "as `run`, without end: each certificate at its own moment")
    issue = _named(line, "issue", _later("issuing", "issue"), "issue now, whether due or not", "+", reports=True)
    text = "delete the CA's hold: it has lifted its limit since"
    issue.add_argument("--lift-hold", action="store_true", help=text)
    text = "replace an existing certificate now, whether due or not"
    reissue = _named(line, "reissue", _later("issuing", "reissue"), text, "*", reports=True)
    reissue.add_argument("--all", action="store_true", help="every enabled certificate that was issued before")
    text = "every enabled certificate whose issuer's name contains CA"
    reissue.add_argument("--issued-by", metavar="CA", help=text)
    text = "do not ask for confirmation where the CA, profile or chain will be another one"
    reissue.add_argument("--yes", action="store_true", help=text)
    for command in (run, issue, reissue):
        text = "only tell what would be ordered, where and why, and what would be held or fail"
        command.add_argument("--dry-run", action="store_true", help=text)
        text = "order for test at the CA's staging directory, with another account; nothing is stored"
        command.add_argument("--staging", action="store_true", help=text)
    text = "show what is enrolled and how it is, the worst first"
    status = _named(line, "status", _later("status", "status"), text, "*", reports=True)
    status.add_argument("--hosts", action="store_true", help="one line for each host that reports, and its certificate")
    status.add_argument("--failing", action="store_true", help="only what is not well")
    text = "only certificates that end within TIME, like 14d, and those that have ended"
    status.add_argument("--expiring", metavar="TIME", type=_time, default=None, help=text)
    made = line.command("report", _later("report", "report"), "write what `status` shows as a page for a browser")
    text = "the folder: index.html and the parts of its list"
    made.add_argument("--html", metavar="DIR", default="", help=text)


def _watch(line: CommandLine) -> None:
    text = "look what is wrong with certificates, their names and their hosts; -v lists those that are well too"
    audit = _named(line, "audit", _later("audit", "audit"), text, "*", reports=True)
    text = "order new certificates now where they cure it; without, the next run does"
    audit.add_argument("--fix", action="store_true", help=text)
    text = "with --fix: stay so long, and try again what failed (default: one try)"
    audit.add_argument("--retry", metavar="TIME", type=_time, default=0, help=text)
    text = "look at what is stored and reported alone: ask no DNS server and no CA"
    audit.add_argument("--local", action="store_true", help=text)
    add_nagios(audit)
    text = "for a while, replace no certificate because of a finding, and send no mail about it"
    mute = _named(line, "mute", _later("audit", "mute"), text, "+")
    text = "a date, 2026-12-24 or 2026-12-24T06:00 (UTC), or a time from now, like 14d"
    mute.add_argument("--until", metavar="DATE", default=None, help=text)
    mute.add_argument("--replacing", action="store_true", help="only the replacing")
    mute.add_argument("--mails", action="store_true", help="only the mails")
    mute.add_argument("--off", action="store_true", help="end it")
    text = "keep whom to ask about certificates and how they are renewed: findings and mails say it"
    note = _named(line, "note", _later("audit", "note"), text, "+")
    note.add_argument("--contact", metavar="TEXT", default=None, help="whom to ask; - for nobody")
    text = "how it is renewed, as of one that was bought: a sentence; - for none"
    note.add_argument("--renewal", metavar="TEXT", default=None, help=text)


def _transparency(line: CommandLine) -> None:
    text = "look in logs of Certificate Transparency for certificates of our names with keys that are not ours"
    command = line.command("transparency", _later("transparency", "transparency"), text, reports=True)
    add_nagios(command)
    text = "the key, as the command prints it, is known to you: it counts as ours from now on; repeatable"
    command.add_argument("--accept", metavar="KEY", action="append", default=[], help=text)


def _by_hand(line: CommandLine) -> None:
    _named(line, "challenges", _later("by_hand", "challenges"), "by hand, 1: show what to publish", reports=True)
    text = "by hand, 2: look at what was published, and let the CA validate it"
    solve = _named(line, "solve", _later("by_hand", "solve"), text)
    text = "ask the CA although the answer is not visible from here"
    solve.add_argument("--force", action="store_true", help=text)
    _named(line, "request", _later("by_hand", "request"), "by hand, 3: hand in the CSR, store the certificate")


def _versions(line: CommandLine) -> None:
    _named(line, "history", _later("versions", "history"), "show every version and event of a name", reports=True)
    rollback = _named(line, "rollback", _later("rollback", "rollback"), "make an earlier certificate the present one")
    rollback.add_argument("--serial", default="", help="which one (default: the one before the present)")
    text = "do not ask about one that this issuer does not remember to have stored"
    rollback.add_argument("--yes", action="store_true", help=text)
    text = "carry a certificate from outside; never renewed by ACME"
    take_in = _named(line, "import", _later("versions", "take_in"), text)
    text = "the certificate, PEM; its chain may follow in it"
    take_in.add_argument("--crt", metavar="FILE", required=True, help=text)
    take_in.add_argument("--chain", metavar="FILE", default="", help="the chain, if it is in a file of its own")
    text = "order one from our CA when that is left of its life and nobody has imported a newer one, like 3d"
    take_in.add_argument("--takeover-at", metavar="TIME", type=_time, default=0, help=text)
    text = "with --takeover-at: the CSR to order it for (default: NAME.csr in csr_dir)"
    take_in.add_argument("--csr", metavar="FILE", default="", help=text)
    take_in.add_argument("--label", action="store_true", help="NAME is a label of your own, not one of its names")
    take_in.add_argument("--comment", default="", help="kept in the database")
    text = "give hosts a certificate from another CA that waits for that; without NAME: show which ones wait"
    approve = _named(line, "approve", _later("approve", "approve"), text, "*")
    approve.add_argument("--all", action="store_true", help="every one that waits")
    revoke = _named(line, "revoke", _later("versions", "revoke"), "have the CA revoke a certificate")
    names = ", ".join(f"{word} ({number})" for word, number in REASONS.items())
    text = f"the name or number of RFC 5280: {names}"
    revoke.add_argument("--reason", metavar="REASON", type=_reason, default=0, help=text)
    revoke.add_argument("--serial", default="", help="an earlier one (default: the present one)")
    revoke.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def _egress(line: CommandLine) -> None:
    text = "what the firewall must let through, where that is now, and whether it is reached from here"
    egress = line.command("egress", _later("egress", "egress"), text, reports=True)
    text = "add the addresses of now to those of earlier looks, which every look then shows too"
    egress.add_argument("--watch", action="store_true", help=text)
    text = "with --watch: look again and again, with so much time between, until the command is ended"
    egress.add_argument("--every", metavar="TIME", type=_time, default=None, help=text)
    text = "the addresses outwards as a list for a firewall (docs/egress.md)"
    egress.add_argument("--format", choices=["table", *FORMATS], default="table", help=text)


def _parsed(parse: Callable[[str], int]) -> Callable[[str], int]:
    """*parse* for an option: its ValueError is what argparse tells."""

    def read(text: str) -> int:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


_reason = _parsed(number_of)
_time = _parsed(parse_duration)  # seconds from "90s", "10m", "1h", "14d"


def main() -> None:
    """The console script."""
    sys.exit(build().run())
