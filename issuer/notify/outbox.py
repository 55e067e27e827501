"""The outbox of events: new ones go to every channel at once and into one mail later.

Nothing here fails a run. An event stays in memory while the database is away, and in the database while the mail server
is away; both are tried again.
"""

import secrets
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Protocol

import structlog

from common.clock import Clock, utc_text
from common.errors import CertfleetError, MailError
from issuer.model.errors import noted
from issuer.model.events import Event, EventKind, of_ending, of_strangers
from issuer.model.hosts import Standing
from issuer.model.outcomes import Ended
from issuer.model.strangers import RowsFound
from issuer.model.tries import Tries
from issuer.rules import mail_text
from issuer.rules.alarms import mail_moment
from issuer.store.notices import Notices

log = structlog.get_logger()
_LATE_SECONDS = 86400  # that an event may wait for a mail before a run fails for it
_MOST_KEPT = 100_000  # events in memory while the database is away


def require_mailed(notices: Notices, now: float) -> None:
    """Raise MailError where an event has waited for a mail for more than a day, or StoreError."""
    unsent = notices.unsent(int(now))
    if unsent is not None and unsent[0] < now - _LATE_SECONDS:
        what = f"a mail has waited since {utc_text(unsent[0])}"
        raise MailError(
            what, hint="`certfleet-issuer check` asks the mail server; what waits goes out with a later run"
        )


class Post(Protocol):
    def send(self, subject: str, text: str) -> None:
        """Send one mail. Raises MailError."""


class Channel(Protocol):
    """A way in which people hear of an event at once; mail, which gathers events, is a :class:`Post`."""

    def say(self, event: Event, tries: Tries) -> None:
        """Tell people of *event*. *tries*: who makes the next attempts. Never raises, and takes seconds at most."""


@dataclass(eq=False)
class Outbox:
    """As issuer/loops/intake.py describes it, and what a run needs. Call :meth:`tell` and :meth:`note` from any thread,
    :meth:`settle` and :meth:`deliver` from one at a time. *tries*: who makes the next attempts after an event was told.
    *itself*: how this issuer itself is."""

    notices: Notices
    post: Post | None
    channels: Sequence[Channel]
    _: KW_ONLY
    host: str
    clock: Clock
    tries: Tries
    itself: Callable[[], Event | None] = lambda: None
    _last_itself: Event | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _kept: list[Event] = field(default_factory=list)
    _mailed_at: float = 0.0
    _successor: "Outbox | None" = None  # which has taken over

    @property
    def wanted(self) -> bool:
        """Is mail or a channel configured?"""
        return self.post is not None or bool(self.channels)

    def tell(self, event: Event) -> None:
        with self._lock:
            successor = self._successor
            if successor is None and self.wanted:
                self._kept.append(event)
                del self._kept[:-_MOST_KEPT]
        if successor is not None:
            successor.tell(event)

    def send_urgent(self) -> None:
        """Mail now what was told of revoked certificates, and write the rest down: a run may take hours. Never
        raises."""
        with self._lock:
            urgent = [event for event in self._kept if event.kind is EventKind.REVOKED]
            later = [event for event in self._kept if event.kind is not EventKind.REVOKED]
            self._kept = urgent
        if urgent and self._write_down(others=False):
            self.deliver()
        with self._lock:
            self._kept += later
        self._write_down(others=False)  # a killed run does not find again what is worse than before

    def note(self, event: Event) -> None:
        self.tell(event)
        self._write_down(others=False)

    def settle(self) -> bool:
        """Look how this issuer is, save the kept events and send the new ones to the channels. False while the database
        is away."""
        now = self.itself()
        if now is not None and now != self._last_itself:
            self._last_itself = now
            self.tell(now)
        return self._write_down(others=True)

    def _write_down(self, *, others: bool) -> bool:
        with self._lock:
            kept, self._kept = self._kept, []
        settled = self._settled(lambda now: self.notices.settle(kept, now, others=others), len(kept))
        if not settled:
            self._give_back(kept)
        return settled

    def _give_back(self, events: list[Event]) -> None:
        """Keep *events* before the others, or let the outbox that has taken over keep them."""
        with self._lock:
            successor = self._successor
            if successor is None and self.wanted:
                self._kept = events + self._kept
        if successor is not None:
            successor._give_back(events)

    def tell_rows(self, rows: RowsFound) -> None:
        events = [event for event in map(of_ending, rows.endings) if event is not None]
        if rows.crowd is not None:
            events.append(of_strangers(rows.crowd))
        self._settled(lambda now: self.notices.settle_rows(events, rows.strangers, now), len(events))

    def tell_hosts(self, names: Collection[str], standings: Collection[Standing]) -> None:
        self._settled(lambda now: self.notices.settle_hosts(names, standings, now), len(standings))

    def _settled(self, settle: Callable[[int], Sequence[Event]], events: int) -> bool:
        """Do *settle* at this moment, if anybody is to hear of it, and send what is new to the channels. False where
        the database took nothing; *events*: how many it did not take."""
        if not self.wanted:
            return True
        try:
            found = settle(int(self.clock()))
        except CertfleetError as error:
            log.warning("notification.unsettled", events=events, error=str(error))
            return False
        self._speak(found)
        return True

    def _speak(self, events: Sequence[Event]) -> None:
        for event in events:
            log.info("notification.noted", kind=event.kind.value, certificate=event.name)
            for channel in self.channels:
                channel.say(event, self.tries)

    def take_over(self, other: "Outbox") -> None:
        with other._lock:
            theirs, other._kept = other._kept, []
            other._successor = self
        self._give_back(theirs)
        self._mailed_at = other._mailed_at

    def close_run(self, endings: Iterable[Ended]) -> list[CertfleetError]:
        """Report a whole run at its end, so that a failure that was mended within it is not reported. Returns the error
        that mail waits for too long, if it does.

        After a kill the next run finds the same in the database.
        """
        for ended in endings:
            event = of_ending(ended)
            if event is not None:
                self.tell(event)
        self.settle()
        self.deliver()
        late: list[CertfleetError] = []
        with noted(late):
            if self.post is not None:
                require_mailed(self.notices, self.clock())
        return late

    def mail_due(self) -> bool:
        if self.post is None:
            return False
        now = self.clock()
        unsent = self.notices.unsent(int(now))
        return unsent is not None and mail_moment(*unsent, self._mailed_at, now) <= now

    def deliver(self) -> None:
        """Send one mail with the unsent events, of very many the first ones. Never raises CertfleetError."""
        if self.post is None:
            return
        delivery = secrets.token_hex(16)
        now = int(self.clock())
        try:
            events = self.notices.take(delivery, now)
            if not events:
                self.notices.sent(delivery)  # those that nobody can read, which were told, are not taken again
                return
            self._mailed_at = now
            try:
                text = mail_text.body(events, self.host, now, self.tries)
                self.post.send(mail_text.subject(events, self.host), text)
            except CertfleetError as error:
                log.warning("notification.unsent", events=len(events), error=str(error), hint=error.hint)
                self.notices.give_back(delivery)
                return
            self.notices.sent(delivery)
            log.info("notification.sent", events=len(events))
        except CertfleetError as error:  # the database is away; after a while the events are free again
            log.warning("notification.undelivered", error=str(error))
