"""status: the certificates, their ends, their next attempts and their failures."""

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

from common.clock import duration_text
from common.command_line import report, say, say_coloured, table
from common.config_file import load
from common.terminal import Colour
from issuer.commands.held import HeldUp
from issuer.commands.hosts import table_of
from issuer.commands.looks import Look, View, Wanted, counted
from issuer.commands.particulars import in_full
from issuer.commands.schedule import slow_schedule
from issuer.model.config import Settings
from issuer.model.errors import Unsigned
from issuer.model.failure import Failure
from issuer.model.hosts import Standing
from issuer.model.limits import ACCOUNT, PACED, REGISTRATION, Hold
from issuer.rules.health import Severity, advice
from issuer.rules.shared_failures import by_failure, concerned
from issuer.store.revision import open_database

Fact = dict[str, Any]
"""One certificate as --json shows it."""


def status(arguments: argparse.Namespace) -> int:
    """One line for each certificate, or for each host; with NAME everything about it. Exit code 1 if an enabled one of
    those that are shown is not well."""
    settings = load(Settings, arguments.config)
    database = open_database(settings.database)
    now = int(time.time())
    asked = Wanted(
        names=arguments.name,
        failing=arguments.failing,
        expiring=arguments.expiring,
        content=bool(arguments.name or arguments.json) and not arguments.hosts,
        particulars=bool(arguments.name) and not arguments.hosts,
    )
    view = View(settings, database, now, asked)
    if arguments.hosts:
        return _status_of_hosts(view, arguments)
    if not arguments.name and not arguments.json:
        overall = _List(view.held_up, filtered=arguments.failing or arguments.expiring is not None)
        for row, look in counted(view.looks()):
            ending = "" if look.fact["well"] else advice(row, now, settings.renewal)
            overall.add(look, ending, view.remarks(row))
        overall.tell()
        notes, slow = view.notes(), slow_schedule(settings, database, now)
        for sentence in (*notes, *([slow] if slow else [])):
            say(sentence)
        return 0 if overall.well and not notes else 1
    looks = [look for _, look in counted(view.looks())]
    if not arguments.name:
        looks = sorted(looks, key=lambda look: (look.rank, look.ends, look.name))
    gone = view.vanished()
    if arguments.json:
        slow = slow_schedule(settings, database, now)
        facts = {"certificates": [look.fact for look in looks], "vanished": gone, "schedule": slow or None}
        report(facts | {"enrolled_by_nobody": len(view.few.names)} if view.few is not None else facts)
    else:
        held = [view.held_up.sentence(look.hold) if look.hold else "" for look in looks]
        for number, (look, why) in enumerate(zip(looks, held, strict=True)):
            say(*[""] * (number > 0), *in_full(look.fact, why, look.failure))
    return 0 if all(look.fact["well"] for look in looks) and not gone and view.crowd is None else 1


def _status_of_hosts(view: View, arguments: argparse.Namespace) -> int:
    found, well = list[Standing](), True
    for row, look in counted(view.looks()):
        found += [one for one in view.standings.of(row) if not arguments.failing or one.bad]
        well = well and not look.fact["hosts_not_well"]
    document = view.standings.listed(found)
    if arguments.json:
        report(document)
    else:
        say_coloured(table_of(document["hosts"], document["more"]))
    return 0 if well else 1


class _List:
    """The list. It keeps lines, not rows: there may be a hundred thousand."""

    def __init__(self, held_up: HeldUp, *, filtered: bool):
        self._held_up = held_up
        self._filtered = filtered
        self._lines: list[tuple[Severity, int, list[str]]] = []
        self._failures: list[tuple[str, Failure]] = []
        self._remarks: list[str] = []
        self._endings: list[str] = []
        self._paced = 0
        self._holds: dict[Hold, None] = {}
        self.well = True

    def add(self, look: Look, ending: str, remarks: Sequence[str]) -> None:
        """Add a certificate. *ending*: the sentence about one that is not well without a failure, or "". *remarks*:
        more sentences."""
        hold = look.hold
        self._remarks += [f"{look.name}: {fault}" for fault in look.fact["not_sealed"]]
        self._remarks += [Failure.of(Unsigned(look.name)).sentence] * look.fact["not_signed"]
        self.well = self.well and look.fact["well"]
        self._lines.append((look.rank, look.ends, [of(look.fact) for of in _COLUMNS.values()]))
        if look.failure:
            self._failures.append((look.name, look.failure))
        self._remarks += [f"{look.name}: {remark}" for remark in remarks]
        if ending:
            self._endings.append(f"{look.name}: {ending}")
        if hold is not None and hold.failure is PACED:
            self._paced += 1
        elif hold is not None:
            self._holds[hold] = None

    def tell(self) -> None:
        if not self._lines:
            say("none" if self._filtered else "nothing is enrolled; begin with `certfleet-issuer populate NAME`")
            return
        ranked = sorted(self._lines)
        head, *lines = table(list(_COLUMNS), [line for *_, line in ranked])
        colours = [_colour(rank) for rank, *_ in ranked]
        say_coloured([(head, Colour.HEAD), *zip(lines, colours, strict=True)])
        for common in by_failure(self._failures, lambda told: told):
            names = [name for name, _ in common.all]
            say(f"{concerned(names)}: last attempt failed: {common.failure.sentence}")
        for remark in (*self._remarks, *self._endings):
            say(remark)
        if self._paced:
            say(f"{self._paced} wait: {PACED}; {PACED.hint}")
        for hold in self._holds:
            whose = "every new order" if hold.scope in (ACCOUNT, REGISTRATION) else hold.scope
            say(f"{whose}: held {self._held_up.sentence(hold)}")


def _colour(rank: Severity) -> Colour:
    well, disabled, *_ = rank
    return Colour.QUIET if disabled else Colour.NONE if well else Colour.BAD


def _valid_for(fact: Fact) -> str:
    left = fact["valid_for_seconds"]
    return "-" if left is None else duration_text(left) if left > 0 else "expired"


def _next(fact: Fact) -> str:
    return f"by hand until {fact['next']}" if fact["by_hand"] else fact["next_attempt"] or "-"


_COLUMNS: dict[str, Callable[[Fact], str]] = {  # a new one is a line here; where --json lacks its fact, one in looks.py
    "NAME": lambda fact: fact["name"],
    "STATE": lambda fact: fact["state"],
    "VALID FOR": _valid_for,
    "NEXT": _next,
    "FAILURES": lambda fact: str(fact["failures"]),
}
