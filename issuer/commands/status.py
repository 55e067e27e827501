"""status: the certificates, their ends, their next attempts and their failures."""

import argparse
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from common.clock import duration_text, utc_text
from common.command_line import report, say, table
from common.config_file import load
from issuer.commands.change import change_fields
from issuer.commands.held import HeldUp
from issuer.commands.hosts import HostList, Standings, table_of, with_hosts
from issuer.commands.lock import tries
from issuer.commands.particulars import Particulars, in_full
from issuer.commands.reports import Reports
from issuer.commands.rows import Rows
from issuer.commands.schedule import slow_schedule
from issuer.model.config import Settings
from issuer.model.enrolment import NEVER_ISSUED, Enrolment
from issuer.model.errors import Unsigned, Vanished
from issuer.model.failure import Failure
from issuer.model.leaf import Leaf
from issuer.model.limits import ACCOUNT, PACED, REGISTRATION, Hold
from issuer.model.seal_faults import Fault
from issuer.rules.change import remarks
from issuer.rules.health import NOT_SEALED, NOT_SIGNED, Severity, advice, health, severity, state_of
from issuer.rules.shared_failures import by_failure, some
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.orders import Orders
from issuer.store.overview import Overview
from issuer.store.revision import open_database

_PORTION = 1000  # rows, and the reports about them, in memory at once


def status(arguments: argparse.Namespace) -> int:
    """One line for each certificate, or for each host; with NAME everything about it. Exit code 1 if an enabled one of
    those that are shown is not well."""
    settings = load(Settings, arguments.config)
    database = open_database(settings.database)
    now = int(time.time())
    view = _View(settings, database, now, arguments)
    if arguments.hosts:
        return _status_of_hosts(view, arguments)
    if not arguments.name and not arguments.json:
        overall = _List(view.held_up, filtered=arguments.failing or arguments.expiring is not None)
        for row, look in view.looks():
            ending = "" if look.fact["well"] else advice(row, now, settings.renewal)
            overall.add(look, ending, view.remarks(row))
        overall.tell()
        for name in view.vanished():
            overall.well = False
            say(Failure.of(Vanished(name)).sentence)
        slow = slow_schedule(settings, database, now)
        if slow:
            say(slow)
        return 0 if overall.well else 1
    looks = [look for _, look in view.looks()]
    if not arguments.name:
        looks = sorted(looks, key=lambda look: (look.rank, look.name))
    gone = view.vanished()
    if arguments.json:
        slow = slow_schedule(settings, database, now)
        report({"certificates": [look.fact for look in looks], "vanished": gone, "schedule": slow or None})
    else:
        held = [view.held_up.sentence(look.hold) if look.hold else "" for look in looks]
        for number, (look, why) in enumerate(zip(looks, held, strict=True)):
            say(*[""] * (number > 0), *in_full(look.fact, why, look.failure))
    return 0 if all(look.fact["well"] for look in looks) and not gone else 1


def _status_of_hosts(view: "_View", arguments: argparse.Namespace) -> int:
    """One line for each host and certificate, the worst first."""
    found, well = HostList(view.standings), True
    for row, look in view.looks():
        found.add(view.standings.of(row), failing=arguments.failing)
        well = well and not look.fact["hosts_not_well"]
    document = found.document()
    if arguments.json:
        report(document)
    else:
        say(*table_of(document["hosts"], document["more"]))
    return 0 if well else 1


@dataclass(frozen=True, slots=True)
class _Look:
    """One certificate as it is now, without its row. *fact*: as --json shows it. *rank*: the lowest is the worst."""

    name: str
    rank: Severity
    fact: dict[str, Any]
    failure: Failure | None
    hold: Hold | None


class _View:
    """What concerns all certificates, asked for once; and each that the *arguments* ask for."""

    def __init__(self, settings: Settings, database: Database, now: int, arguments: argparse.Namespace):
        self._now = now
        self._policy = settings.renewal
        self._arguments = arguments
        self._certificates = Certificates(database)
        self._under_way = {record.name for record in Orders(database, "").under_way(now)}
        self._by_hand = Overview(database).by_hand(arguments.name or None, now)
        self.held_up = HeldUp(settings, database, now)
        self.tries = tries(settings)
        self._rows = Rows(settings, database)
        self._seen: set[str] = set()
        self.standings = Standings(Reports(settings, database), settings.hosts, now)
        self._particulars = Particulars(settings, database, now, self.tries, self.standings)

    def looks(self) -> Iterator[tuple[Enrolment, _Look]]:
        """The certificates that are asked for. Their rows are in memory in portions."""
        names, expiring = self._arguments.name, self._arguments.expiring
        rows = iter(self._certificates.get(names) if names else self._certificates.all())
        while portion := list(itertools.islice(rows, _PORTION)):
            self.standings.ask_for(portion)
            for row in portion:
                self._seen.add(row.name)
                if expiring is not None and not (row.crt and row.ends <= self._now + expiring):
                    continue
                look = self._look(row)
                if not (self._arguments.failing and look.fact["well"]):
                    yield row, look

    def _look(self, row: Enrolment) -> _Look:
        hold, counts = self.held_up.by(row), self.standings.counts(row)
        faults = self._rows.faults(row)
        doubt = NOT_SEALED if faults else NOT_SIGNED if self._rows.is_unsigned(row) else ""
        state = state_of(row, self._now, self._policy, held=hold is not None, doubt=doubt)
        fact = self._facts(row, state, hold, faults) | {"not_signed": doubt == NOT_SIGNED}
        if self._arguments.name and not self._arguments.hosts:
            fact |= _content(row) | self._particulars.of(row)
        elif self._arguments.json and not self._arguments.hosts:
            fact |= _content(row)
        rank = severity(row, state, self._now, hosts_not_well=counts.total())
        return _Look(row.name, rank, with_hosts(fact, counts), row.failure, hold)

    @staticmethod
    def remarks(row: Enrolment) -> list[str]:
        """Sentences about a change that waits; parsing is left out for the many rows that have nothing to tell."""
        return remarks(row) if row.change is not None or row.rolled_back else []

    def vanished(self) -> list[str]:
        """Names that were sealed and that the table lost, once all of it has been looked at."""
        return [] if self._arguments.name else self._rows.vanished(self._seen)

    def _facts(self, row: Enrolment, state: str, hold: Hold | None, faults: Sequence[Fault]) -> dict[str, Any]:
        now, order, change = self._now, self._by_hand.get(row.name), row.change
        state, well = health(row, state)
        by_itself = (row.enabled or row.name in self._under_way) and not row.imported
        coming = max(row.due_at or 0, hold.until if hold else 0) if by_itself else 0
        if change is not None:
            broken = change.failing and row.enabled
            state, well = f"{state}, change {'failing' if broken else 'waits'}", well and not broken
            if row.enabled:
                coming, by_itself = change.due_at if row.imported else min(coming, change.due_at), True
        coming = order.deadline or coming if order else coming
        return {
            "name": row.name,
            "enabled": row.enabled,
            "state": state,
            "well": well,
            "failures": row.failures,
            "last_error": row.failure.sentence if row.failure else None,
            "failure": row.failure.fields if row.failure else None,
            "next": utc_text(coming) if coming else None,
            "next_attempt": self._words(coming) if coming or by_itself else None,
            "held_until": utc_text(hold.until) if hold else None,
            "held_because": str(hold.failure) if hold else None,
            "not_sealed": [fault.value for fault in faults],
            "by_hand": order is not None,
            "imported": row.imported,
            "changing": change is not None,
            "rolled_back": bool(row.rolled_back),
            "valid_for_seconds": row.ends - now if row.crt else None,
            "valid_until": utc_text(row.ends) if row.crt else None,
            "last_update": utc_text(row.ts_last_update) if row.ts_last_update > NEVER_ISSUED else None,
        }

    def _words(self, coming: int) -> str:
        return self.tries.words(coming) if coming > self._now else "the next run"


class _List:
    """The list. It keeps lines, not rows: there may be a hundred thousand."""

    def __init__(self, held_up: HeldUp, *, filtered: bool):
        self._held_up = held_up
        self._filtered = filtered
        self._lines: list[tuple[Severity, list[str]]] = []
        self._failures: list[tuple[str, Failure]] = []
        self._remarks: list[str] = []
        self._endings: list[str] = []
        self._paced = 0
        self._holds: dict[Hold, None] = {}
        self.well = True

    def add(self, look: _Look, ending: str, remarks: Sequence[str]) -> None:
        """Add a certificate. *ending*: the sentence about one that is not well without a failure, or "". *remarks*:
        more sentences."""
        hold = look.hold
        self._remarks += [f"{look.name}: {fault}" for fault in look.fact["not_sealed"]]
        self._remarks += [Failure.of(Unsigned(look.name)).sentence] * look.fact["not_signed"]
        self.well = self.well and look.fact["well"]
        self._lines.append((look.rank, _line(look.fact)))
        if look.failure:
            self._failures.append((look.name, look.failure))
        self._remarks += [f"{look.name}: {remark}" for remark in remarks]
        if ending:
            self._endings.append(f"{look.name}: {ending}")
        if hold is not None and hold.account:
            self._holds[hold] = None
        elif hold is not None:
            self._paced += 1

    def tell(self) -> None:
        if not self._lines:
            say("none" if self._filtered else "nothing is enrolled; begin with `certfleet-issuer populate NAME`")
            return
        say(*table(["NAME", "STATE", "VALID FOR", "NEXT", "FAILURES"], [line for _, line in sorted(self._lines)]))
        for common in by_failure(self._failures, lambda told: told):
            names = [name for name, _ in common.all]
            who = names[0] if len(names) == 1 else f"{len(names)} certificates ({some(names)})"
            say(f"{who}: last attempt failed: {common.failure.sentence}")
        for remark in (*self._remarks, *self._endings):
            say(remark)
        if self._paced:
            say(f"{self._paced} wait: {PACED}; {PACED.hint}")
        for hold in self._holds:
            whose = "every new order" if hold.scope in (ACCOUNT, REGISTRATION) else hold.scope
            say(f"{whose}: held {self._held_up.sentence(hold)}")


def _content(row: Enrolment) -> dict[str, Any]:
    """The facts that only the certificate itself has."""
    leaf = row.present
    if not isinstance(leaf, Leaf):
        return {"names": [], "serial": None, "issuer": None, **change_fields(row)}
    return {"names": sorted(leaf.names), "serial": leaf.serial, "issuer": leaf.issuer, **change_fields(row)}


def _line(fact: dict[str, Any]) -> list[str]:
    left = fact["valid_for_seconds"]
    valid = "-" if left is None else duration_text(left) if left > 0 else "expired"
    coming = f"by hand until {fact['next']}" if fact["by_hand"] else fact["next_attempt"] or "-"
    return [fact["name"], fact["state"], valid, coming, str(fact["failures"])]
