"""run, issue, reissue: wires the real adapters, holds the lock, minds the signals."""

import argparse
import signal
import time
from collections.abc import Sequence

from common.certificate import issuer_text, parse_bundle
from common.clock import utc_text
from common.command_line import complain, report, say
from common.errors import LockedError, RefusedError, UsageError
from common.files import locked
from issuer.commands.wiring import build_desk, build_tools, configure_log, held_by_daemon, lock_file
from issuer.config import Settings, load
from issuer.endings import Ended, Ending
from issuer.model import Enrolment
from issuer.run import Pass, Summary
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.orders import Orders


def run(arguments: argparse.Namespace) -> int:
    """The daily cron: what is due, or the named ones if they are due."""
    settings = load(arguments.config)
    with locked(lock_file(settings), doing="certfleet-issuer run"):
        database = Database(settings.database)
        certificates = Certificates(database)
        rows = _named(certificates, arguments.name) if arguments.name else _due(database, certificates)
        return _work(arguments, settings, database, rows, settings.renewal.max_run)


def issue(arguments: argparse.Namespace) -> int:
    """Now, whether due or not; one try. What fails stays wanted, and the next `run` tries again."""
    return _now(arguments, "asked for by hand", must_exist=False)


def reissue(arguments: argparse.Namespace) -> int:
    """As issue, for certificates that exist already. Many are paced inside the CA's limits, for as long as a run may
    take; what is left then is still wanted, and the next `run` goes on."""
    if not (arguments.all or arguments.issued_by):
        if not arguments.name:
            raise UsageError("reissue what?", hint="name certificates, or give --all or --issued-by CA")
        return _now(arguments, "reissue asked for by hand", must_exist=True)
    if arguments.name:
        raise UsageError("NAME goes with neither --all nor --issued-by", hint="give one of the three")
    settings = load(arguments.config)
    rows = Certificates(Database(settings.database)).all()
    arguments.name = [row.name for row in rows if _concerned(row, arguments.issued_by)]
    if not arguments.name:
        raise UsageError("no enabled certificate fits", hint="`status --json` shows who issued what")
    return _now(arguments, "reissue asked for by hand", must_exist=True, stay=settings.renewal.max_run)


def _concerned(row: Enrolment, issued_by: str | None) -> bool:
    if not row.enabled or row.imported or not row.crt:
        return False
    try:
        return not issued_by or issued_by.lower() in issuer_text(parse_bundle(row.crt).leaf).lower()
    except ValueError:
        return True  # what cannot even be read is better replaced


def _now(arguments: argparse.Namespace, reason: str, *, must_exist: bool, stay: int = 0) -> int:
    settings = load(arguments.config)
    database = Database(settings.database)
    certificates = Certificates(database)
    names = _issuable(certificates, arguments.name, must_exist=must_exist)
    try:
        with locked(lock_file(settings), doing="certfleet-issuer issue"):
            certificates.request_reissue(names, reason)
            return _work(arguments, settings, database, certificates.get(names), stay)
    except LockedError:
        if not held_by_daemon(settings):
            raise
    return _hand_over(arguments, certificates, names, reason)


def _issuable(certificates: Certificates, wanted: Sequence[str], *, must_exist: bool) -> list[str]:
    rows = certificates.get(list(dict.fromkeys(wanted)))
    empty = [row.name for row in rows if must_exist and not row.crt]
    if empty:
        hint = "use `issue` for the first one"
        raise RefusedError(f"there is no certificate to replace yet: {', '.join(empty)}", hint=hint)
    outside = [row.name for row in rows if row.imported]
    if outside:
        raise RefusedError(
            f"imported, so not ours to issue: {', '.join(outside)}", hint="`remove` and `populate` it for ACME"
        )
    return [row.name for row in rows]


def _hand_over(arguments: argparse.Namespace, certificates: Certificates, names: list[str], reason: str) -> int:
    """The daemon looks at the database every few seconds, so that is where a wish is left for it."""
    disabled = [row.name for row in certificates.get(names) if not row.enabled]
    if disabled:
        hint = "`enable` them first, or stop the daemon for as long as this takes"
        raise LockedError(f"the daemon runs, and it leaves disabled ones alone: {', '.join(disabled)}", hint=hint)
    certificates.request_reissue(names, reason)
    if arguments.json:
        endings = [{"name": name, "ending": "handed to the daemon", "detail": "", "next": None} for name in names]
        report({"certificates": endings, "stopped": False})
    elif not getattr(arguments, "quiet", False):
        for name in names:
            say(f"{name}: handed to the daemon that runs; `certfleet-issuer status {name}` shows how it goes")
    return 0


def _work(
    arguments: argparse.Namespace, settings: Settings, database: Database, rows: Sequence[Enrolment], stay: int
) -> int:
    configure_log(settings, arguments)
    desk = build_desk(settings, database)
    tools = build_tools(settings, database, desk.tell)
    quiet = arguments.json or getattr(arguments, "quiet", False)
    one_pass = Pass(tools, (lambda _: None) if quiet else say, complain)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: one_pass.stop())
    try:
        summary = one_pass.run(rows, until=time.time() + stay if stay else 0)
        desk.close_run(summary.endings.values(), mail=not summary.stopped)
    finally:
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
    """Rows whose moment has come, those that failed and wait for it, and those whose order was left under way."""
    now = int(time.time())
    rows = {row.name: row for row in (*certificates.due(now), *certificates.failing(now))}
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
