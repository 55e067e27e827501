"""`run` for ever: each certificate at its own moment, whatever database, CA and mail server do meanwhile.

The loop only hands out work and takes results. Everything that could wait runs on other threads: orders in crew.py, the
rest in periodic.py. So the watchdog is fed exactly as long as certfleet itself works.

The loop decides nothing about certificates: the database and rules/due.py say what is due, rules/retry.py what an error
means.
"""

import time
from collections.abc import Callable
from concurrent.futures import wait
from functools import partial

import structlog

from common.clock import utc_text
from common.errors import CertfleetError, ConfigError, Finding
from common.stamps import stamps
from common.threads import on_thread
from issuer.journey.attempt import Attempt
from issuer.journey.sweep import sweep
from issuer.loops.backlog import Backlog
from issuer.loops.crew import Crew, Returned
from issuer.loops.health import Health
from issuer.loops.hosts import look_at_hosts
from issuer.loops.intake import NOT_OURS_SECONDS, Generation, take_in
from issuer.loops.metrics import MOST_CERTIFICATES, Metrics
from issuer.loops.periodic import Periodic
from issuer.loops.systemd import Systemd
from issuer.model.config import Settings
from issuer.model.errors import StoreError
from issuer.model.events import of_ending
from issuer.model.outcomes import Ended, Ending
from issuer.model.survey import DueRow

log = structlog.get_logger()
_TICK = 1.0  # seconds: the longest sleep of the loop
# seconds between two runs of a periodic work
_LOOK, _FILES, _SWEEP, _MAIL, _HOSTS, _ROWS = 3.0, 3.0, 600.0, 5.0, 60.0, 60.0
_SURVEY, _LONGEST = 5.0, 60.0
_SHARE = 100  # a survey, and each look at all rows, costs the database one percent of its time,
_SELDOM = 600.0  # but a look comes this soon: the one before may have waited for a silent party, which costs nothing
_NOT_OURS = (Ending.ELSEWHERE, Ending.NOT_DUE, Ending.UNSEALED)
_JUST_DONE = 10  # seconds for which a certificate is deferred after its attempt, whatever the database says
_LAST_WORDS = 1.0  # seconds for writing down events at the end


class Daemon:
    """:meth:`stop` and :meth:`reload` may be called from signal handlers."""

    def __init__(
        self, build: Callable[[Settings | None], Generation], *, systemd: Systemd, health: Health, numbers: Metrics
    ):
        """*build* makes a generation from settings, without them from the configuration read again. It raises
        CertfleetError."""
        self._build = build
        self._systemd = systemd
        self._health = health
        self._numbers = numbers
        self._generation = build(None)
        self._stamps = self._generation.stamps  # of the files as they were read, or refused
        self._begun: dict[str, tuple[Generation, DueRow]] = {}  # by the name of each certificate in hand
        self._retired: list[Generation] = []
        self._crew = Crew(self._generation.tools.clock)
        self._backlog = Backlog()
        self._stopping = self._reload_wanted = self._refused = self._build_refused = False
        wake = self._crew.wake
        self._look = Periodic(
            "look", lambda: take_in(self._generation, set(self._crew.names), self._backlog), every=_LOOK, wake=wake
        )
        self._survey = Periodic("survey", self._take_survey, every=_SURVEY, wake=wake, share=_SHARE, longest=_LONGEST)
        self._sweep = Periodic(
            "sweep", lambda: sweep(self._generation.tools), every=_SWEEP, wake=wake, longest_pause=600
        )
        self._mail = Periodic("mail", self._send_mail, every=_MAIL, wake=wake)
        look = partial(Periodic[None], wake=wake, share=_SHARE, longest=_SELDOM)
        self._hosts = look("hosts", self._look_at_hosts, every=_HOSTS)
        self._rows = look("rows", self._look_at_rows, every=_ROWS)
        self._reports = look("reports", self._look_at_reports, every=_ROWS)
        self._rows_not_well: set[str] = set()
        self._files = Periodic("files", lambda: stamps(self._generation.settings.files), every=_FILES, wake=wake)
        self._seen = self._stamps
        self._fed_at = float("-inf")

    def stop(self) -> None:
        """End within seconds: nothing new is begun."""
        self._stopping = True
        self._crew.wake()

    def reload(self) -> None:
        """Read the configuration again at the next tick."""
        self._reload_wanted = True
        self._crew.wake()

    def run(self) -> None:
        self._systemd.ready()
        log.info("daemon.started")
        while not self._stopping:
            try:
                self._tick()
            except Exception:
                log.exception("daemon.fault")
                time.sleep(_TICK / 2)
        self._end()

    def _tick(self) -> None:
        now = time.monotonic()
        if self._reload_wanted:
            self._reload_wanted = False
            self._reload(None)
        self._follow_files(now)
        self._run_periodic(now)
        # while the database is away no step can be saved: no attempt goes on
        workers = 0 if self._look.failures else self._generation.settings.acme.workers
        self._crew.start(workers)
        self._numbers.in_hand(len(self._crew.names), self._crew.running)
        self._systemd.status(self._status())
        self._feed_watchdog(now)
        returned = self._crew.collect(workers, min(_TICK, self._systemd.ping_seconds or _TICK))
        if returned is not None:
            self._ended(returned)
        self._health.ticked()

    def _feed_watchdog(self, now: float) -> None:
        """Only here: a loop that fails in every tick does not come this far."""
        interval = self._systemd.ping_seconds
        if interval is not None and now - self._fed_at >= interval * 0.9:
            self._fed_at = now
            self._systemd.alive()

    # --- periodic work: what each does on its thread, and what the loop makes of the result ---

    def _run_periodic(self, now: float) -> None:
        self._begin_intake(now)
        for work in (self._survey, self._sweep, self._hosts, self._rows, self._reports, self._mail):
            try:
                work.result(now)
            except CertfleetError as error:  # a database that is away is logged by the look
                is_news = work.failures == 1 and not self._look.failures
                (log.warning if is_news else log.info)("periodic.failed", work=work.name, error=str(error))
            if not self._look.failures:
                work.start(now)
        self._look.start(now)

    def _begin_intake(self, now: float) -> None:
        failures = self._look.failures
        try:
            intake = self._look.result(now)
        except CertfleetError as error:
            self._health.database_failed(str(error))
            log.warning("database.away", error=str(error), hint=error.hint, again_in=self._look.pause)
            return
        if intake is None:
            return
        self._health.database_answered()
        if failures:
            self._health.attempt_ended()
            log.warning("database.back", failures=failures)
        generation = intake.generation
        for enrolment, row in intake.rows:
            if row.name not in self._crew.names:
                generation.attempts += 1
                self._begun[row.name] = generation, row
                attempt = Attempt(enrolment, generation.tools, stopping=lambda: self._stopping)
                self._crew.add(attempt, generation.tools.clock())

    def _take_survey(self) -> None:
        settings, tools = self._generation.settings, self._generation.tools
        now = int(tools.clock())
        stuck_after = settings.renewal.give_up_alarm
        most, besides = MOST_CERTIFICATES, tools.looks.soonest(MOST_CERTIFICATES)
        survey = self._generation.queries.survey(now, stuck_after=stuck_after, most=most, besides=besides)
        self._numbers.survey = survey
        left = {url: pacing.left(now) for url, pacing in tools.pacing.items()}
        self._numbers.orders_left = {url: count for url, count in left.items() if count is not None}

    def _look_at_hosts(self) -> None:
        here = self._generation
        now = int(here.tools.clock())
        rows, tell = here.tools.certificates, here.outbox.tell_hosts
        self._numbers.hosts = look_at_hosts(here.hosts, rows, tell, here.settings.hosts, now)

    def _look_at_rows(self) -> None:
        here = self._generation
        try:
            here.audit()
        finally:  # whatever that met: it is no reason to be deaf
            self._tell_rows(here)

    def _tell_rows(self, here: Generation) -> None:
        found = here.look_at_rows()
        for ended in found.endings:
            if ended.name not in self._rows_not_well:
                log.warning("certificate.failed", certificate=ended.name, error=str(ended.failure), next=None)
        self._rows_not_well = {ended.name for ended in found.endings}.union(found.strangers)
        self._numbers.strangers = len(found.strangers)
        here.outbox.tell_rows(found)

    def _look_at_reports(self) -> None:
        here = self._generation
        here.hosts.recall(int(here.tools.clock()))

    def _send_mail(self) -> None:
        outbox = self._generation.outbox
        if outbox.settle() and outbox.mail_due():
            outbox.deliver()

    # --- endings ---

    def _ended(self, returned: Returned) -> None:
        ended = returned.ended
        self._numbers.ended(returned)
        self._let_go(ended)
        if ended.ending in (Ending.FAILED, Ending.UNSEALED):
            coming = utc_text(ended.next_attempt) if ended.next_attempt else None
            log.warning("certificate.failed", certificate=ended.name, error=str(ended.failure), next=coming)
        elif ended.ending in (Ending.STORED, Ending.HELD):
            word = "certificate.stored" if ended.ending is Ending.STORED else "certificate.held"
            detail = str(ended.failure or ended.detail)
            log.info(word, certificate=ended.name, detail=detail, seconds=round(returned.seconds, 1))
        event = of_ending(ended)
        is_unsaved = ended.reference == StoreError.reference
        self._health.attempt_ended(str(ended.failure) if is_unsaved else "")
        if event is not None and not is_unsaved:  # a database that is away is no failure of the certificate
            self._generation.outbox.tell(event)

    def _let_go(self, ended: Ended) -> None:
        generation, row = self._begun.pop(ended.name)
        now = self._generation.tools.clock()
        until = now + (NOT_OURS_SECONDS if ended.ending in _NOT_OURS else _JUST_DONE)
        if ended.ending in (Ending.FAILED, Ending.HELD) and ended.reference != StoreError.reference:
            until = max(until, ended.look_again_at or ended.retry_at)
        self._backlog.defer(row, until, now)
        generation.attempts -= 1
        self._close_retired()

    def _close_retired(self) -> None:
        """Close the generations read before that no attempt needs any more."""
        for generation in [one for one in self._retired if not one.attempts]:
            self._retired.remove(generation)
            generation.close()

    def _follow_files(self, now: float) -> None:
        """Build a new generation from the same settings once a file that they name has changed: a rotated password, a
        renewed CA bundle. Its writer is given until the second look, and a file that is refused is not read again."""
        found = self._files.result(now)
        self._files.start(now)
        if found is None:
            return
        if found != self._stamps and found == self._seen:
            changed = [str(file) for file, stamp in found.items() if stamp != self._stamps.get(file)]
            log.info("configuration.file_changed", files=sorted(changed))
            self._stamps = found
            self._reload(self._generation.settings)
        self._seen = found

    def _reload(self, settings: Settings | None) -> None:
        """Take *settings*, without them those of the configuration read again; where something is wrong, keep the old
        generation and log every finding. A configuration that was refused stays so until it is read again."""
        self._systemd.reloading()
        self._build_refused, self._refused = True, self._refused or settings is None
        try:
            self._take_up(self._build(settings), anew=settings is None)
        except CertfleetError as error:
            findings = error.findings if isinstance(error, ConfigError) else (Finding("", str(error)),)
            for finding in findings:
                log.error("configuration.finding", source=error.what, finding=str(finding))
            log.error("configuration.kept", findings=len(findings), hint=error.hint)
        finally:  # also after a fault of ours: systemd kills a service that never ends its reload
            self._numbers.reloaded(taken=not self._build_refused)
            self._look.soon()
            self._systemd.ready()

    def _take_up(self, new: Generation, *, anew: bool) -> None:
        """*anew*: the configuration was read again, not only the files that it names."""
        old = self._generation
        new.outbox.take_over(old.outbox)
        self._retired.append(old)  # orders under way finish with it
        self._generation, self._build_refused, self._refused = new, False, self._refused and not anew
        self._stamps = self._seen = new.stamps
        self._close_retired()
        log.info("configuration.taken" if anew else "configuration.files_taken")

    def _status(self) -> str:
        waiting = len(self._crew.names) - self._crew.running
        work = f"{self._crew.running} at work, {waiting} waiting"
        parts = ["waits for the database" if self._look.failures else work]
        if self._refused or self._build_refused:
            parts.append("the changed configuration is refused, the old one is in use")
        return "; ".join(parts)

    def _end(self) -> None:
        self._systemd.stopping()
        log.info("daemon.ending", in_hand=len(self._crew.names), running=self._crew.running)
        away = bool(self._look.failures)
        for returned in self._crew.disband():
            self._ended(returned)
        if not away:  # events are written down now; the next start mails them
            wait([on_thread(self._generation.outbox.settle)], _LAST_WORDS)
        log.info("daemon.ended")
