"""run, issue, reissue: wires the real adapters, takes the lock, handles the signals."""

import argparse
import time
from collections.abc import Callable, Sequence
from shlex import quote
from typing import Any

import structlog

from common.clock import utc_text
from common.command_line import complain, report, say
from common.config_file import load
from common.errors import LockedError, RefusedError, UsageError
from issuer.commands.by_hand import refuse_leased
from issuer.commands.held import HeldUp
from issuer.commands.stopping import finish
from issuer.commands.wiring import alone, build_desk, build_tools, configure_log, held_by_daemon, owner
from issuer.journey.ports import Tools
from issuer.loops.run import Pass, Summary, stay_on_one
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment
from issuer.model.errors import StoreError
from issuer.model.leaf import Leaf
from issuer.model.outcomes import Ended, Ending
from issuer.rules.csr import refuse_compromised
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.holds import Holds
from issuer.store.orders import Orders
from issuer.store.overview import Overview
from issuer.store.revision import open_database

log = structlog.get_logger()


def run(arguments: argparse.Namespace) -> int:
    """The daily cron: issue what is due, of NAMEs or of all. With --retry, what failed is due too."""
    settings = load(Settings, arguments.config)
    try:
        with alone(settings, doing="certfleet-issuer run"):
            database = open_database(settings.database)

            def choose() -> list[Enrolment]:
                rows = _looked_at(arguments, database)
                return _retried(rows, database) if arguments.retry else rows

            return _work(arguments, settings, database, choose, settings.renewal.max_run)
    except LockedError as error:
        if held_by_daemon(settings):
            if arguments.retry:
                return _retry_by_daemon(arguments, settings)
            error.hint = (
                "no action needed: the daemon does what `run` does; after `run --retry` it tries again what failed"
            )
        raise


def _looked_at(arguments: argparse.Namespace, database: Database) -> list[Enrolment]:
    certificates = Certificates(database)
    return _named(certificates, arguments.name) if arguments.name else _due(database, certificates)


def _retried(rows: Sequence[Enrolment], database: Database) -> list[Enrolment]:
    """*rows*; those that failed are due now."""
    certificates = Certificates(database)
    certificates.retry_now([row.name for row in rows if row.failing])
    return certificates.enrolled([row.name for row in rows])


def _retry_by_daemon(arguments: argparse.Namespace, settings: Settings) -> int:
    database = open_database(settings.database)
    failing = [row for row in _looked_at(arguments, database) if row.failing]
    return _hand_over(arguments, settings, database, [row.name for row in failing], lambda: _retried(failing, database))


def issue(arguments: argparse.Namespace) -> int:
    """Issue now, whether due or not; one try. If it fails, a later `run` tries again, unless the row is disabled."""
    return _now(arguments, "asked for by hand", must_exist=False, lift_hold=arguments.lift_hold)


def reissue(arguments: argparse.Namespace) -> int:
    """As issue, for certificates that exist already. --all and --issued-by take as long as a run may, inside the CA's
    limits; the next `run` goes on with the rest."""
    if not (arguments.all or arguments.issued_by):
        if not arguments.name:
            raise UsageError("nothing to reissue was named", hint="name certificates, or give --all or --issued-by CA")
        return _now(arguments, "reissue asked for by hand", must_exist=True)
    if arguments.name:
        raise UsageError("NAME goes with neither --all nor --issued-by", hint="give one of the three")
    settings = load(Settings, arguments.config)
    database = open_database(settings.database)
    concerned = [row.name for row in Certificates(database).all() if _concerned(row, arguments.issued_by)]
    by_hand = Overview(database).by_hand(concerned, int(time.time()))
    for name in by_hand:
        complain(f"{name}: left out, because a person issues it by hand")
    arguments.name = [name for name in concerned if name not in by_hand]
    if not arguments.name:
        raise UsageError("no enabled certificate fits", hint="`status --json` shows who issued what")
    return _now(arguments, "reissue asked for by hand", must_exist=True, stay=settings.renewal.max_run)


def _concerned(row: Enrolment, issued_by: str | None) -> bool:
    if not row.enabled or row.imported or not row.crt:
        return False
    if not issued_by or not isinstance(row.present, Leaf):
        return True  # a damaged certificate is better replaced
    return issued_by.lower() in row.present.issuer.lower()


def _now(
    arguments: argparse.Namespace, reason: str, *, must_exist: bool, stay: int = 0, lift_hold: bool = False
) -> int:
    settings = load(Settings, arguments.config)
    database = open_database(settings.database)
    certificates = Certificates(database)
    rows = _issuable(certificates, arguments.name, must_exist=must_exist)
    refuse_compromised(rows)
    names = [row.name for row in rows]
    by_hand = Overview(database).by_hand(names, int(time.time()))
    for name, order in by_hand.items():
        refuse_leased(name, order, owner(settings))

    def wish() -> list[Enrolment]:
        if by_hand:
            Orders(database, owner(settings)).take_from_hand(by_hand, int(time.time()))
            for name in by_hand:
                complain(f"{name}: taken over from the steps by hand; what was published for them may be removed")
        if lift_hold:
            Holds(database).lift(names, int(time.time()))
        certificates.request_reissue(names, reason)
        return certificates.get(names)

    try:
        with alone(settings, doing="certfleet-issuer issue"):
            return _work(arguments, settings, database, wish, stay)
    except LockedError:
        if not held_by_daemon(settings):
            raise
    return _hand_over(arguments, settings, database, names, wish)


def _issuable(certificates: Certificates, wanted: Sequence[str], *, must_exist: bool) -> list[Enrolment]:
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
    return rows


def _hand_over(
    arguments: argparse.Namespace,
    settings: Settings,
    database: Database,
    names: list[str],
    wish: Callable[[], list[Enrolment]],
) -> int:
    """Save *wish*, which returns the rows, for the daemon: it looks into the database every few seconds. Exit code 1 if
    a hold of the CA keeps the daemon from beginning one of *names* now."""
    certificates, now = Certificates(database), int(time.time())
    disabled = [row.name for row in certificates.get(names) if not row.enabled]
    if disabled:
        hint = "`enable` them first, or stop the daemon for as long as this takes"
        raise LockedError(f"the daemon runs, and it leaves disabled ones alone: {', '.join(disabled)}", hint=hint)
    rows = wish()
    held_up = HeldUp(settings, database, now)
    holds = {row.name: held_up.by(row) for row in rows}
    endings = [
        Ended.held(name, hold.until, hold.failure, by_itself=True) if hold else Ended(name, Ending.HANDED_OVER)
        for name, hold in holds.items()
    ]
    quiet = arguments.json or getattr(arguments, "quiet", False)
    for ended in endings:
        if not quiet:
            say(str(ended))
        if ended.complaint:
            complain(ended.complaint)
    if arguments.json:
        report({"certificates": [_ending(ended) for ended in endings], "stopped": False})
    elif not quiet and not names:
        say("nothing has failed")
    elif not quiet:
        say(f"`certfleet-issuer status{f' {quote(names[0])}' if len(names) == 1 else ''}` shows how it goes")
    return 1 if any(holds.values()) else 0


def _work(
    arguments: argparse.Namespace,
    settings: Settings,
    database: Database,
    choose: Callable[[], Sequence[Enrolment]],
    stay: int,
) -> int:
    """One pass over the rows that *choose* returns, and the exit code. *choose* may write to the database, so it is
    called after every check of the configuration."""
    configure_log(settings, arguments)
    desk = build_desk(settings, database)
    tools = build_tools(settings, database, desk.note)
    _let_go_left(tools)
    rows = choose()
    silent = getattr(arguments, "quiet", False)
    quiet = arguments.json or silent
    one_pass = Pass(tools, (lambda _: None) if quiet else say, complain, at_end=silent)
    summary = one_pass.summary

    def work() -> None:
        stay_on_one()
        one_pass.run(rows, stay=stay)
        desk.close_run(summary.news)

    try:
        finish(work, one_pass.stop)
    finally:
        database.close()
    _show(summary, as_json=arguments.json, quiet=quiet)
    for trouble in summary.troubles:
        raise trouble
    return 0 if summary.well else 1


def _let_go_left(tools: Tools) -> None:
    """End the leases of a killed run: under the lock nobody else has our owner. If that fails, they run out."""
    try:
        tools.orders.let_go_left()
    except StoreError as error:
        log.warning("lease.left", error=str(error))


def _show(summary: Summary, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        report({"certificates": [_ending(ended) for ended in summary.endings.values()], "stopped": summary.stopped})
    elif not quiet:
        counts = [(ending, len(summary.names(ending))) for ending in Ending]
        say(", ".join(f"{count} {ending.value}" for ending, count in counts if count) or "nothing is due")


def _ending(ended: Ended) -> dict[str, Any]:
    moment = utc_text(ended.next_attempt) if ended.next_attempt else None
    failure = ended.failure
    return {
        "name": ended.name,
        "ending": ended.ending.value,
        "detail": failure.sentence if failure else ended.detail,
        "next": moment,
        "failure": failure.fields if failure else None,
    }


def _due(database: Database, certificates: Certificates) -> list[Enrolment]:
    """Rows whose moment has come, rows that failed and wait, and rows whose order was left under way."""
    now = int(time.time())
    rows = {row.name: row for row in (*certificates.due(now), *certificates.failing(now))}
    left = [record.name for record in Orders(database, "").under_way(now) if record.name not in rows]
    return [*rows.values(), *certificates.enrolled(left)]


def _named(certificates: Certificates, names: Sequence[str]) -> list[Enrolment]:
    rows = certificates.get(names)
    disabled = [row.name for row in rows if not row.enabled]
    if disabled:
        raise UsageError(
            f"disabled: {', '.join(disabled)}", hint="`enable` them first, or use `issue` for one certificate now"
        )
    return rows
