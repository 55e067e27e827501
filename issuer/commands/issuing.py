"""run, issue, reissue: wires the real adapters, takes the lock, handles the signals."""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from shlex import quote
from typing import Any

import structlog

from common.clock import utc_text
from common.command_line import complain, raise_all, report, say
from common.config_file import load
from common.errors import CertfleetError, LockedError, RefusedError, UsageError, render
from issuer.commands.by_hand import refuse_leased
from issuer.commands.ca_ahead import ahead, let_confirm
from issuer.commands.dry_run import rehearsal, show
from issuer.commands.held import HeldUp
from issuer.commands.hosts import look_at_all_hosts
from issuer.commands.lock import locked_by_daemon
from issuer.commands.rows import Rows
from issuer.commands.schedule import remember_run, slow_schedule
from issuer.commands.staging import clear_staging, order_at_staging, staging_directory
from issuer.commands.stopping import finish
from issuer.commands.wiring import alone, build_outbox, build_tools, configure_log, owner
from issuer.loops.run import Pass, Summary, silent, stay_on_one
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment
from issuer.model.errors import StoreError, noted
from issuer.model.leaf import Leaf
from issuer.model.outcomes import Ended, Ending
from issuer.model.tries import BY_DAEMON, BY_NEXT_RUN, Tries
from issuer.notify.outbox import Outbox
from issuer.rules.change import failed_as, newest
from issuer.rules.csr import refuse_compromised
from issuer.rules.shared_failures import complaints
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.holds import Holds
from issuer.store.orders import Orders
from issuer.store.overview import Overview
from issuer.store.revision import open_database
from issuer.trust.memory import MEMORY, Memory
from issuer.trust.seals import Seals
from issuer.trust.statements import Statements

log = structlog.get_logger()


def run(arguments: argparse.Namespace) -> int:
    """The daily cron: issue what is due, of NAMEs or of all. With --retry, what failed is due too."""
    here = _Issuing(arguments)
    if arguments.dry_run or arguments.staging:
        return here.rehearse(here.due(), retry=arguments.retry)

    def choose() -> list[Enrolment]:
        if arguments.retry:
            here.lift_registration()  # before the look: a row that waited for our account is due again
        rows = here.due()
        return here.retry(rows) if arguments.retry else rows

    try:
        with alone(here.settings, doing="certfleet-issuer run"):
            if not arguments.name:
                remember_run(here.settings, int(time.time()))
            return here.work(choose, here.settings.renewal.max_run, looks_at_all=True)
    except LockedError as error:
        if not locked_by_daemon(here.settings):
            raise
        if not arguments.retry:
            error.hint = "no action needed: the daemon does what `run` does; `run --retry` makes it try again at once"
            raise
    here.lift_registration()
    failing = [row for row in here.due() if failed_as(row)]
    return here.hand_over([row.name for row in failing], lambda: here.retry(failing))


def issue(arguments: argparse.Namespace) -> int:
    """Issue now, whether due or not; one try. If it fails, a later `run` tries again, unless the row is disabled."""
    return _now(_Issuing(arguments), "asked for by hand", lift_hold=arguments.lift_hold)


def reissue(arguments: argparse.Namespace) -> int:
    """As issue, for certificates that exist already. --all and --issued-by take as long as a run may, inside the CA's
    limits; the next `run` goes on with the rest."""
    here, many = _Issuing(arguments), bool(arguments.all or arguments.issued_by)
    if not many and not arguments.name:
        raise UsageError("nothing to reissue was named", hint="name certificates, or give --all or --issued-by CA")
    if many and arguments.name:
        raise UsageError("NAME goes with neither --all nor --issued-by", hint="give one of the three")
    if many:
        concerned = [row.name for row in here.certificates.all() if _concerned(row, arguments.issued_by)]
        by_hand = Overview(here.database).by_hand(concerned, int(time.time()))
        for name in by_hand:
            complain(f"{name}: left out, because a person issues it by hand")
        arguments.name = [name for name in concerned if name not in by_hand]
        if not arguments.name:
            raise UsageError("no enabled certificate fits", hint="`status --json` shows who issued what")
    empty = [] if many else [row.name for row in here.certificates.get(arguments.name) if not row.crt]
    if empty:
        hint = "use `issue` for the first one"
        raise RefusedError(f"there is no certificate to replace yet: {', '.join(empty)}", hint=hint)
    if not (arguments.dry_run or arguments.staging):
        let_confirm(here.settings, here.certificates.get(arguments.name), yes=arguments.yes)
    return _now(here, "reissue asked for by hand", stay=here.settings.renewal.max_run if many else 0)


def _concerned(row: Enrolment, issued_by: str | None) -> bool:
    if not row.enabled or row.imported or not row.crt:
        return False
    if not issued_by or not isinstance(row.present, Leaf):
        return True  # a damaged certificate is better replaced
    return issued_by.lower() in row.present.issuer.lower()


def issue_for(arguments: argparse.Namespace, *, stay: int) -> int:
    """As issue, for the rows of the names in *arguments* that are due by a wish already; failures are tried again for
    *stay* seconds."""
    arguments.dry_run = arguments.staging = False
    return _now(_Issuing(arguments), "", stay=stay)


def _now(here: "_Issuing", reason: str, *, stay: int = 0, lift_hold: bool = False) -> int:
    rows = here.certificates.get(here.arguments.name)
    names = [row.name for row in rows]
    outside = [row.name for row in rows if row.imported and row.change is None]
    if outside:
        hint = "`populate --replace NAME --csr FILE` moves it to ACME"
        raise RefusedError(f"imported, so not ours to issue: {', '.join(outside)}", hint=hint)
    refuse_compromised(map(newest, rows))
    if here.arguments.dry_run or here.arguments.staging:
        if lift_hold:
            hint = "look first, then lift the hold"
            raise UsageError("--lift-hold goes with neither --dry-run nor --staging", hint=hint)
        return here.rehearse(rows, wish=reason)
    by_hand = Overview(here.database).by_hand(names, int(time.time()))
    for name, order in by_hand.items():
        refuse_leased(name, order, owner(here.settings))

    def wish() -> list[Enrolment]:
        if by_hand:
            seals = Seals(here.settings.state_dir)
            Orders(here.database, owner(here.settings), seals).take_from_hand(by_hand, int(time.time()))
            for name in by_hand:
                complain(f"{name}: taken over from the steps by hand; what was published for them may be removed")
        if lift_hold:
            Holds(here.database).lift(names, int(time.time()))
            Memory(here.settings.state_dir / MEMORY).forget_ordered(names)
        here.lift_registration()
        if reason:
            here.certificates.request_reissue(names, reason)
        return here.certificates.get(names)

    try:
        with alone(here.settings, doing="certfleet-issuer issue"):
            return here.work(wish, stay)
    except LockedError:
        if not locked_by_daemon(here.settings):
            raise
    return here.hand_over(names, wish)


class _Issuing:
    """One command: its *arguments*, its settings and, as soon as it is asked for, its database."""

    def __init__(self, arguments: argparse.Namespace):
        self.arguments = arguments
        self.settings = load(Settings, arguments.config)
        self._silent = arguments.quiet
        self._quiet = arguments.json or self._silent

    @cached_property
    def database(self) -> Database:
        return open_database(self.settings.database)

    @cached_property
    def certificates(self) -> Certificates:
        return Certificates(self.database)

    def due(self) -> list[Enrolment]:
        """The named rows. Without names: rows whose moment has come, by the database or by our own memory, rows that
        failed and wait, and rows whose order was left under way."""
        if self.arguments.name:
            rows = self.certificates.get(self.arguments.name)
            disabled = [row.name for row in rows if not row.enabled]
            if disabled:
                hint = "`enable` them first, or use `issue` for one certificate now"
                raise UsageError(f"disabled: {', '.join(disabled)}", hint=hint)
            return rows
        return Rows(self.settings, self.database).due(int(time.time()))

    def lift_registration(self) -> None:
        """A person asks for something, so a CA that refused our account is asked again."""
        Holds(self.database).lift_registration(int(time.time()))

    def retry(self, rows: Sequence[Enrolment]) -> list[Enrolment]:
        """*rows*; those that failed are due now."""
        self.certificates.retry_now([row.name for row in rows if failed_as(row)])
        return self.certificates.enrolled([row.name for row in rows])

    def rehearse(self, rows: Sequence[Enrolment], *, wish: str = "", retry: bool = False) -> int:
        """Tell what would become of *rows*; the exit code."""
        configure_log(self.settings, self.arguments)
        try:
            found = rehearsal(self.settings, self.database, rows, wish=wish, retry=retry)
            if self.arguments.staging:
                found = order_at_staging(self.settings, rows, found)
            directory = staging_directory(self.settings) if self.arguments.staging else ""
            concerned = rows if self.arguments.name else self.certificates.all()
            sentences = [] if directory else [one.sentence for one in ahead(self.settings, concerned)]
            return show(found, as_json=self.arguments.json, staging=directory, ahead=sentences)
        finally:
            self.database.close()

    def hand_over(self, names: Sequence[str], wish: Callable[[], list[Enrolment]]) -> int:
        """Save *wish*, which returns the rows, for the daemon: it looks into the database every few seconds. Exit code
        1 if a hold of the CA keeps the daemon from beginning one of *names* now."""
        disabled = [row.name for row in self.certificates.get(names) if not row.enabled]
        if disabled:
            hint = "`enable` them first, or stop the daemon for as long as this takes"
            raise LockedError(f"the daemon runs, and it leaves disabled ones alone: {', '.join(disabled)}", hint=hint)
        rows = wish()
        held_up = HeldUp(self.settings, self.database, int(time.time()))
        holds = {row.name: held_up.by(row) for row in rows}
        endings = [
            Ended.held(name, hold.until, hold.failure, by_itself=True, by=hold.by)
            if hold
            else Ended(name, Ending.HANDED_OVER)
            for name, hold in holds.items()
        ]
        if not self._quiet:
            for ended in endings:
                say(ended.line(BY_DAEMON))
        for paragraph in complaints(endings, BY_DAEMON):
            complain(*paragraph)
        if self.arguments.json:
            report({"certificates": [_ending(ended, BY_DAEMON) for ended in endings], "stopped": False})
        elif not self._quiet and not names:
            say("nothing has failed")
        elif not self._quiet:
            say(f"`certfleet-issuer status{f' {quote(names[0])}' if len(names) == 1 else ''}` shows how it goes")
        return 1 if any(holds.values()) else 0

    def work(self, choose: Callable[[], Sequence[Enrolment]], stay: int, *, looks_at_all: bool = False) -> int:
        """One pass of at most *stay* seconds over the rows that *choose* returns, and the exit code. *choose* may write
        to the database, so it is called after every check of the configuration."""
        configure_log(self.settings, self.arguments)
        outbox = build_outbox(self.settings, self.database, BY_NEXT_RUN)
        tools = build_tools(self.settings, self.database, outbox.note)
        try:  # under the lock nobody else has our owner, so a killed run had these leases
            tools.orders.let_go_left()
        except StoreError as error:  # the leases run out by themselves
            log.warning("lease.left", error=str(error))
        troubles: list[CertfleetError] = []
        if looks_at_all and not self.arguments.name:
            with noted(troubles):
                Rows(self.settings, self.database).audit(outbox.tell, int(time.time()))
            outbox.send_urgent()
        rows = choose()
        one_pass = Pass(tools, silent if self._quiet else say, complain, at_end=self._silent)
        summary = one_pass.summary
        summary.troubles += troubles

        def work() -> None:
            stay_on_one()
            clear_staging(self.settings)
            one_pass.run(rows, stay=stay)
            if looks_at_all and not summary.stopped:
                self._look_at_all(one_pass, outbox)
            late = outbox.close_run(summary.news)
            summary.troubles += late if looks_at_all else []

        try:
            finish(work, one_pass.stop, lambda: "" if self._silent else one_pass.progress)
            ended = looks_at_all and not summary.stopped
            slow = slow_schedule(self.settings, self.database, int(time.time())) if ended else ""
        finally:
            self.database.close()
        self._show(summary, slow)
        unsigned = Statements(self.settings.state_dir).fault()
        if unsigned is not None:
            complain(*render(unsigned), "  meanwhile: new certificates go out without a statement")
        raise_all(summary.troubles)
        return 0 if summary.well and unsigned is None else 1

    def _look_at_all(self, one_pass: Pass, outbox: Outbox) -> None:
        """The rows that somebody took away or changed, due or not, and the hosts."""
        if not self.arguments.name:
            with noted(one_pass.summary.troubles):
                rows = Rows(self.settings, self.database).look()
                one_pass.tell_rows(rows)
                outbox.tell_rows(rows)
        with noted(one_pass.summary.troubles):
            look_at_all_hosts(self.settings, self.database, outbox)

    def _show(self, summary: Summary, slow: str) -> None:
        if self.arguments.json:
            endings = [_ending(ended, BY_NEXT_RUN) for ended in summary.endings.values()]
            planted = sorted({ended.name for ended in summary.planted})
            facts = {"certificates": endings, "stopped": summary.stopped, "schedule": slow or None}
            report(facts | {"planted_orders": planted, "enrolled_by_nobody": summary.strangers})
        elif not self._quiet:
            say(", ".join(f"{count} {word}" for word, count in summary.counts.items()) or "nothing is due")
            if slow:
                complain(f"warning: {slow}")


def _ending(ended: Ended, tries: Tries) -> dict[str, Any]:
    failure = ended.failure
    return {
        "name": ended.name,
        "ending": ended.ending.value,
        "detail": failure.sentence if failure else ended.detail,
        "next": utc_text(ended.next_attempt) if ended.next_attempt else None,
        "next_attempt": tries.words(ended.next_attempt) if ended.next_attempt else None,
        "failure": failure.fields if failure else None,
    }
