"""Each certificate as it is now, for people: `status` and the page show the same looks."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from common.chunks import chunks
from common.clock import utc_text
from common.terminal import PROGRESS
from issuer.commands.change import change_fields
from issuer.commands.held import HeldUp
from issuer.commands.hosts import Standings, with_hosts
from issuer.commands.lock import tries
from issuer.commands.particulars import Particulars
from issuer.commands.reports import Reports
from issuer.commands.rows import Rows
from issuer.model.config import Settings
from issuer.model.enrolment import NEVER_ISSUED, Enrolment
from issuer.model.errors import Vanished
from issuer.model.failure import Failure
from issuer.model.leaf import Leaf
from issuer.model.limits import Hold
from issuer.model.seal_faults import Fault
from issuer.rules.change import remarks
from issuer.rules.forecast import Forecast, forecast
from issuer.rules.health import NOT_SEALED, NOT_SIGNED, Severity, health, severity, state_of
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.orders import Orders
from issuer.store.overview import OrderUnderWay, Overview

_PORTION = 1000  # rows, and the reports about them, in memory at once


@dataclass(frozen=True, slots=True)
class Wanted:
    """The certificates to look at, and how closely. *names*: only these. *expiring*: only those that end within so many
    seconds. *content*: with what only the certificate itself says. *particulars*: with what other tables say."""

    names: Sequence[str] = ()
    failing: bool = False
    expiring: int | None = None
    content: bool = False
    particulars: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """One certificate as it is now, without its row. *fact*: as --json shows it. *rank*: the lowest is the worst;
    *ends*: of one rank, the one that ends first, where people asked for what ends soon; else 0. *state*: the word of
    issuer/rules/health.py. *coming*: the next attempt, 0 for the next run or none. Moments are epoch seconds."""

    name: str
    rank: Severity
    ends: int
    state: str
    coming: int
    fact: dict[str, Any]
    failure: Failure | None
    hold: Hold | None


T = TypeVar("T")


def counted(looks: Iterable[T]) -> Iterator[T]:
    """The same *looks*; a terminal shows how many there have been."""
    for number, look in enumerate(looks, 1):
        PROGRESS.tell(f"{number} certificates looked at")
        yield look


class View:
    """The facts that concern all certificates, asked for once; and each certificate that is *wanted*. Raises
    ConfigError, FileError, StoreError."""

    def __init__(self, settings: Settings, database: Database, now: int, wanted: Wanted):
        self._now = now
        self._policy = settings.renewal
        self._wanted = wanted
        self._certificates = Certificates(database)
        self._under_way = {record.name for record in Orders(database, "").under_way(now)}
        self._by_hand = Overview(database).by_hand(wanted.names or None, now)
        self.held_up = HeldUp(settings, database, now)
        self.tries = tries(settings)
        self._rows = Rows(settings, database)
        self._seen: set[str] = set()
        self.few = self._rows.few() if not wanted.names else None
        self.standings = Standings(Reports(settings, database), settings.hosts, now)
        self._particulars = Particulars(database, now, self.standings)

    def looks(self) -> Iterator[tuple[Enrolment, Look]]:
        """The certificates that are wanted. Their rows are in memory in portions."""
        names = self._wanted.names
        rows = self._certificates.get(names) if names else self._certificates.all()
        for portion in chunks(rows, _PORTION):
            self.standings.ask_for(portion)
            with self._rows.seals.memory.together():
                looks = [(row, self._look(row)) for row in portion if self._is_wanted(row)]
            yield from ((row, look) for row, look in looks if not (self._wanted.failing and look.fact["well"]))

    def _is_wanted(self, row: Enrolment) -> bool:
        self._seen.add(row.name)
        expiring = self._wanted.expiring
        if expiring is not None and not (row.crt and row.ends <= self._now + expiring):
            return False
        return self.few is None or self.few(row)

    def _look(self, row: Enrolment) -> Look:
        hold, counts = self.held_up.by(row), self.standings.counts(row)
        faults = self._rows.faults(row)
        doubt = NOT_SEALED if faults else NOT_SIGNED if self._rows.is_unsigned(row) else ""
        state = state_of(row, self._now, self._policy, held=hold is not None, doubt=doubt)
        order = self._by_hand.get(row.name)
        step = self._next(row, hold, order)
        coming = step.at if step.at is not None and step.at > self._now else 0
        words = self.tries.words(coming) if coming else "the next run"
        fact = {
            **self._facts(row, state, hold, faults),
            "not_signed": doubt == NOT_SIGNED,
            "next": utc_text(coming) if coming else None,
            "next_attempt": None if step.at is None else words,
            "by_hand": order is not None,
        }
        if self._wanted.content:
            fact |= _content(row)
        if self._wanted.particulars:
            at, words = (None, "none") if step.at is None else (utc_text(step.at), words)
            fact |= self._particulars.of(row) | {"attempt": {"at": at, "words": words, "why": step.why}}
        rank = severity(row, state, self._now, hosts_not_well=counts.total())
        ends = row.ends if self._wanted.expiring is not None else 0
        return Look(row.name, rank, ends, state, coming, with_hosts(fact, counts), row.failure, hold)

    @staticmethod
    def remarks(row: Enrolment) -> list[str]:
        """Sentences about what waits; parsing is left out for the many rows that have nothing to tell."""
        return remarks(row) if row.change is not None or row.rolled_back or row.unapproved else []

    def notes(self) -> list[str]:
        """Sentences about rows that are not among the looks, once all have been looked at; [] where all is well."""
        gone = [Failure.of(Vanished(name)).sentence for name in self.vanished()]
        return gone + ([self.crowd.sentence] if self.crowd is not None else [])

    def vanished(self) -> list[str]:
        """Names that were sealed and that the table lost, once all of it has been looked at."""
        return [] if self._wanted.names else self._rows.vanished(self._seen)

    @property
    def crowd(self) -> Failure | None:
        """The count of rows that nobody enrolled, once all have been looked at; None where each is among the looks."""
        return self.few.crowd if self.few is not None else None

    def _next(self, row: Enrolment, hold: Hold | None, order: OrderUnderWay | None) -> Forecast:
        """The next attempt, put off by *hold*. *order*: that of a person who issues it by hand, or None."""
        if order is not None:
            return Forecast(order.deadline, "a person issues it by hand; `run` goes on with it then, `issue` at once")
        step = forecast(row, self._now, self._policy, under_way=row.name in self._under_way)
        late = hold is not None and step.at is not None and step.at < hold.until
        return Forecast(hold.until, step.why) if hold is not None and late else step

    def _facts(self, row: Enrolment, state: str, hold: Hold | None, faults: Sequence[Fault]) -> dict[str, Any]:
        change, (state, well) = row.change, health(row, state)
        if change is not None:
            broken = change.failing and row.enabled
            state, well = f"{state}, change {'failing' if broken else 'waits'}", well and not broken
        return {
            "name": row.name,
            "enabled": row.enabled,
            "state": state,
            "well": well,
            "failures": row.failures,
            "last_error": row.failure.sentence if row.failure else None,
            "failure": row.failure.fields if row.failure else None,
            "held_until": utc_text(hold.until) if hold else None,
            "held_because": str(hold.failure) if hold else None,
            "not_sealed": [fault.value for fault in faults],
            "imported": row.imported,
            "changing": change is not None,
            "rolled_back": bool(row.rolled_back),
            "awaits_approval_until": utc_text(row.waiting.until) if row.waiting is not None else None,
            "valid_for_seconds": row.ends - self._now if row.crt else None,
            "valid_until": utc_text(row.ends) if row.crt else None,
            "last_update": utc_text(row.ts_last_update) if row.ts_last_update > NEVER_ISSUED else None,
        }


def _content(row: Enrolment) -> dict[str, Any]:
    leaf = row.present
    if not isinstance(leaf, Leaf):
        return {"names": [], "serial": None, "issuer": None, **change_fields(row)}
    return {"names": sorted(leaf.names), "serial": leaf.serial, "issuer": leaf.issuer, **change_fields(row)}
