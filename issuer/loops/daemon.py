"""`run` for ever: each certificate at its own moment, whatever database, CA and mail server do meanwhile.

The loop only hands out work and takes results; everything that could wait happens on other threads (crew.py for orders,
periodic.py for the rest). So it is alive exactly as long as certfleet itself is, and only then the watchdog is fed.

Decides nothing about certificates: the database and rules/due.py say what is due, rules/retry.py what an error
means.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import wait
from typing import Protocol

import structlog

from common.clock import utc_text
from common.errors import CertfleetError, ConfigError, Finding
from issuer.ground.threads import aside
from issuer.journey.attempt import Attempt
from issuer.journey.sweep import sweep
from issuer.loops.backlog import Patience
from issuer.loops.crew import Crew, Returned
from issuer.loops.health import Health
from issuer.loops.intake import NOT_OURS_SECONDS, Found, World, look_around
from issuer.loops.periodic import Errand
from issuer.loops.systemd import Systemd
from issuer.model.enrolment import Enrolment
from issuer.model.errors import StoreError
from issuer.model.events import of_ending
from issuer.model.outcomes import Ended, Ending
from issuer.model.survey import Mark, Survey

log = structlog.get_logger()
_TICK = 1.0  # seconds: the longest sleep of the loop
_LOOK, _SWEEP, _POST = 3.0, 600.0, 5.0  # seconds between two errands of a kind
_SURVEY = (5.0, 60.0)  # the larger the table, the longer: a survey costs the database one percent of its time
_SURVEY_SHARE = 100
_NOT_OURS = (Ending.ELSEWHERE, Ending.NOT_DUE)
_JUST_DONE = 10  # seconds that a certificate is left alone, whatever the database says
_LAST_WORDS = 1.0  # seconds for writing down events at the end


class Numbers(Protocol):
    survey: Survey | None
    orders_left: Mapping[str, int]

    def ended(self, returned: Returned) -> None: ...
    def in_hand(self, attempts: int, running: int) -> None: ...
    def reloaded(self, *, taken: bool) -> None: ...


class Daemon:
    """:meth:`stop` and :meth:`reload` may be called from signal handlers."""

    def __init__(self, build: Callable[[], World], *, systemd: Systemd, health: Health, numbers: Numbers, most: int):
        self._build = build
        self._systemd = systemd
        self._health = health
        self._numbers = numbers
        self._most_shown = most
        self._world = build()
        self._worlds: dict[str, World] = {}  # by certificate in hand
        self._marks: dict[str, Mark] = {}
        self._retired: list[World] = []
        self._crew = Crew(self._world.tools.clock)
        self._patience = Patience()
        self._stopping = self._reload_wanted = self._refused = False
        wake = self._crew.wake
        self._look = Errand("look", self._look_around, every=_LOOK, wake=wake)
        self._survey = Errand("survey", self._take_survey, every=_SURVEY[0], wake=wake)
        self._sweep = Errand("sweep", lambda: sweep(self._world.tools), every=_SWEEP, wake=wake, longest_pause=600)
        self._post = Errand("post", self._post_events, every=_POST, wake=wake)
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
        """Until :meth:`stop`."""
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
            self._reload()
        self._run_errands(now)
        # while the database is away no step could be saved: what waits goes on waiting
        workers = 0 if self._look.failures else self._world.settings.acme.workers
        self._crew.start(workers)
        self._numbers.in_hand(len(self._crew.names), self._crew.running)
        self._systemd.status(self._status())
        self._feed_watchdog(now)
        returned = self._crew.collect(workers, min(_TICK, self._systemd.ping_seconds or _TICK))
        if returned is not None:
            self._ended(returned)
        self._health.ticked()

    def _feed_watchdog(self, now: float) -> None:
        """Here and nowhere else: a loop that only fails does not come this far often enough."""
        interval = self._systemd.ping_seconds
        if interval is not None and now - self._fed_at >= interval * 0.9:
            self._fed_at = now
            self._systemd.alive()

    # --- errands: what they do on their threads, and what the loop makes of it ---

    def _run_errands(self, now: float) -> None:
        self._take(now)
        for errand in (self._survey, self._sweep, self._post):
            try:
                errand.back(now)
            except CertfleetError as error:  # the look says it when it is the database
                log.info("errand.failed", errand=errand.name, error=str(error))
            if not self._look.failures:
                errand.go(now)
        self._look.go(now)

    def _take(self, now: float) -> None:
        away = self._look.failures
        try:
            found = self._look.back(now)
        except CertfleetError as error:
            self._health.database_failed(str(error))
            log.warning("database.away", error=str(error), hint=error.hint, again_in=self._look.pause)
            return
        if found is None:
            return
        self._health.database_answered()
        if away:
            log.warning("database.back", failures=away)
        for row, mark in found.rows:
            if row.name not in self._crew.names:
                self._begin(found.world, row, mark)

    def _begin(self, world: World, row: Enrolment, mark: Mark) -> None:
        world.in_hand += 1
        self._worlds[row.name], self._marks[row.name] = world, mark
        self._crew.add(Attempt(row, world.tools, stopping=lambda: self._stopping), world.tools.clock())

    def _look_around(self) -> Found:
        return look_around(self._world, set(self._crew.names), self._patience)

    def _take_survey(self) -> None:
        world = self._world
        stuck_after = world.settings.renewal.give_up_alarm
        now, began = int(world.tools.clock()), time.monotonic()
        self._numbers.survey = world.lookout.survey(now, stuck_after=stuck_after, most=self._most_shown)
        left = {url: pacing.left(now) for url, pacing in world.tools.pacing.items()}
        self._numbers.orders_left = {url: count for url, count in left.items() if count is not None}
        soonest, latest = _SURVEY
        self._survey.every = min(max(soonest, (time.monotonic() - began) * _SURVEY_SHARE), latest)

    def _post_events(self) -> None:
        desk = self._world.desk
        if desk.settle() and desk.mail_due():
            desk.deliver()

    # --- endings ---

    def _ended(self, returned: Returned) -> None:
        ended = returned.ended
        self._numbers.ended(returned)
        self._forget(ended)
        if ended.ending is Ending.FAILED:
            coming = utc_text(ended.next_attempt) if ended.next_attempt else None
            log.warning("certificate.failed", certificate=ended.name, error=str(ended.failure), next=coming)
        elif ended.ending in (Ending.STORED, Ending.HELD):
            word = "certificate.stored" if ended.ending is Ending.STORED else "certificate.held"
            detail = str(ended.failure or ended.detail)
            log.info(word, certificate=ended.name, detail=detail, seconds=round(returned.seconds, 1))
        event = of_ending(ended)
        if event is not None and ended.reference != StoreError.reference:  # our database is not the certificate's fault
            self._world.desk.tell(event)

    def _forget(self, ended: Ended) -> None:
        until = self._world.tools.clock() + (NOT_OURS_SECONDS if ended.ending in _NOT_OURS else _JUST_DONE)
        if ended.ending in (Ending.FAILED, Ending.HELD) and ended.reference != StoreError.reference:
            until = max(until, ended.retry_at)
        self._patience.leave(self._marks.pop(ended.name), until)
        self._worlds.pop(ended.name).in_hand -= 1
        self._close_retired()

    def _close_retired(self) -> None:
        """Of the configurations read before, those that no order needs any more."""
        for world in [world for world in self._retired if not world.in_hand]:
            self._retired.remove(world)
            world.close()

    def _reload(self) -> None:
        """Take a new configuration, or keep the old one and say everything that is wrong with the new one."""
        self._systemd.reloading()
        self._refused = True
        try:
            self._take_up(self._build())
        except CertfleetError as error:
            findings = error.findings if isinstance(error, ConfigError) else (Finding("", str(error)),)
            for finding in findings:
                log.error("configuration.finding", source=error.what, finding=str(finding))
            log.error("configuration.kept", findings=len(findings), hint=error.hint)
        finally:  # after a fault of ours too, or systemd would wait for the end of the reload and then kill
            self._numbers.reloaded(taken=not self._refused)
            self._look.soon()
            self._systemd.ready()

    def _take_up(self, new: World) -> None:
        old = self._world
        new.desk.take_over(old.desk)
        self._retired.append(old)  # orders under way finish with it
        self._world, self._refused = new, False
        self._close_retired()
        log.info("configuration.taken")

    def _status(self) -> str:
        waiting = len(self._crew.names) - self._crew.running
        work = f"{self._crew.running} at work, {waiting} waiting"
        parts = ["waits for the database" if self._look.failures else work]
        if self._refused:
            parts.append("the changed configuration is refused, the old one is in use")
        return "; ".join(parts)

    def _end(self) -> None:
        self._systemd.stopping()
        log.info("daemon.ending", in_hand=len(self._crew.names), running=self._crew.running)
        away = bool(self._look.failures)
        for returned in self._crew.disband():
            self._ended(returned)
        if not away:
            self._last_words()
        log.info("daemon.ended")

    def _last_words(self) -> None:
        """What people are to hear is written down; the next start sends it."""
        wait([aside(self._world.desk.settle)], _LAST_WORDS)
