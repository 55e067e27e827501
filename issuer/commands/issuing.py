"""run, issue, reissue: wires the real adapters, holds the lock, minds the signals."""

import argparse
import secrets
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from common.clock import utc_text
from common.command_line import report, say
from common.errors import RefusedError, UsageError
from common.files import create_new, locked, make_private_folder
from issuer.attempt import Ended, Ending
from issuer.ca.client import AcmeCa
from issuer.config import Settings, load
from issuer.dns.zones import Zones
from issuer.model import Enrolment
from issuer.ports import Tools
from issuer.run import Pass, Summary
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.journal import Journal
from issuer.store.orders import Orders


def run(arguments: argparse.Namespace) -> int:
    """The daily cron: what is due, or the named ones if they are due."""
    settings = load(arguments.config)
    with locked(_lock_file(settings), doing="certfleet-issuer run"):
        database = Database(settings.database)
        certificates = Certificates(database)
        rows = _named(certificates, arguments.name) if arguments.name else _due(database, certificates)
        return _work(arguments, settings, database, rows, settings.renewal.max_run)


def issue(arguments: argparse.Namespace) -> int:
    """Now, whether due or not; one try. What fails stays wanted, and the next `run` tries again."""
    return _now(arguments, "asked for by hand", must_exist=False)


def reissue(arguments: argparse.Namespace) -> int:
    """As issue, for certificates that exist already."""
    return _now(arguments, "reissue asked for by hand", must_exist=True)


def _now(arguments: argparse.Namespace, reason: str, *, must_exist: bool) -> int:
    settings = load(arguments.config)
    with locked(_lock_file(settings), doing="certfleet-issuer issue"):
        database = Database(settings.database)
        certificates = Certificates(database)
        names = list(dict.fromkeys(arguments.name))
        empty = [row.name for row in certificates.get(names) if must_exist and not row.crt]
        if empty:
            hint = "use `issue` for the first one"
            raise RefusedError(f"there is no certificate to replace yet: {', '.join(empty)}", hint=hint)
        certificates.request_reissue(names, reason)
        return _work(arguments, settings, database, certificates.get(names), 0)


def _work(
    arguments: argparse.Namespace, settings: Settings, database: Database, rows: Sequence[Enrolment], stay: int
) -> int:
    ca = AcmeCa(settings, time.time)
    tools = Tools(
        settings=settings,
        ca=ca,
        solvers={"dns-01": Zones(settings.dns)},
        certificates=Certificates(database),
        orders=Orders(database, _owner(settings)),
        journal=Journal(database),
        clock=time.time,
    )
    quiet = arguments.json or getattr(arguments, "quiet", False)
    one_pass = Pass(tools, (lambda _: None) if quiet else say)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: one_pass.stop())
    try:
        summary = one_pass.run(rows, until=time.time() + stay if stay else 0)
    finally:
        ca.close()
        database.close()
    _show(summary, as_json=arguments.json, quiet=quiet)
    return 0 if summary.well else 1


def _show(summary: Summary, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        report({"certificates": [_ending(ended) for ended in summary.endings.values()], "stopped": summary.stopped})
    elif not quiet:
        counts = [(ending, len(summary.names(ending))) for ending in Ending]
        say(", ".join(f"{count} {ending.value}" for ending, count in counts if count) or "nothing is due")


def _ending(ended: Ended) -> dict[str, str | None]:
    moment = utc_text(ended.retry_at) if ended.retry_at else None
    return {"name": ended.name, "ending": ended.ending.value, "detail": ended.detail, "next": moment}


def _due(database: Database, certificates: Certificates) -> list[Enrolment]:
    """Rows whose moment has come, and those whose order a stop or a crash left under way."""
    now = int(time.time())
    rows = {row.name: row for row in certificates.due(now)}
    left = [record.name for record in Orders(database, "").under_way(now) if record.name not in rows]
    return [*rows.values(), *certificates.get(left)]


def _named(certificates: Certificates, names: Sequence[str]) -> list[Enrolment]:
    rows = certificates.get(names)
    disabled = [row.name for row in rows if not row.enabled]
    if disabled:
        raise UsageError(
            f"disabled: {', '.join(disabled)}", hint="`enable` them first, or use `issue` for one certificate now"
        )
    return rows


def _lock_file(settings: Settings) -> Path:
    make_private_folder(settings.state_dir)
    return settings.state_dir / "issuer.lock"


def _owner(settings: Settings) -> str:
    """Who we are in the lease column: the same after a crash, so that our own orders go on at once.

    The lock on the state folder makes sure that there is one of us at a time.
    """
    file = settings.state_dir / "issuer.id"
    if not file.exists():
        create_new(file, secrets.token_hex(8).encode(), mode=0o600)
    return f"{socket.gethostname()[:40]}/{file.read_text(encoding='ascii').strip()[:20]}"
