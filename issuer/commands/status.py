"""status: the certificates, their ends, their next attempts and their failures."""

import argparse
import time
from typing import Any

from common.clock import duration_text, utc_text
from common.command_line import report, say, table
from common.config_file import load
from common.text import one_line
from issuer.commands.held import HeldUp
from issuer.commands.particulars import Particulars, in_full
from issuer.model.config import RenewalSettings, Settings
from issuer.model.enrolment import NEVER_ISSUED, Enrolment
from issuer.model.leaf import Leaf
from issuer.model.limits import ACCOUNT, PACED, REGISTRATION, Hold
from issuer.rules.health import health
from issuer.rules.imported import runs_out, sentence
from issuer.store.certificates import Certificates
from issuer.store.orders import Orders
from issuer.store.overview import Overview
from issuer.store.revision import open_database


def status(arguments: argparse.Namespace) -> int:
    """One line for each certificate, or with NAME everything about it; exit code 1 if an enabled one is not well."""
    settings = load(Settings, arguments.config)
    database = open_database(settings.database)
    certificates, now = Certificates(database), int(time.time())
    held_up = HeldUp(settings, database, now)
    overview = Overview(database)
    under_way = {record.name for record in Orders(database, "").under_way(now)}
    by_hand, not_well = overview.by_hand(arguments.name or None, now), overview.hosts_not_well(now)

    def look(row: Enrolment, hold: Hold | None) -> dict[str, Any]:
        order = by_hand.get(row.name)
        deadline = order.deadline if order else None
        fact = _facts(row, now, settings.renewal, hold, deadline, goes_on=row.name in under_way)
        return _with_hosts(fact, not_well.get(row.name, 0))

    if not arguments.name and not arguments.json:
        overall = _List(held_up)
        for row in certificates.all():
            hold = held_up.by(row)
            ending = row.enabled and runs_out(row, now, settings.renewal)
            overall.add(look(row, hold), hold, sentence(row) if ending else "")
        overall.tell()
        return 0 if overall.well else 1
    rows = certificates.get(arguments.name) if arguments.name else certificates.all()
    particulars = Particulars(settings, database, now)
    facts, texts = [], []
    for row in rows:
        hold = held_up.by(row)
        facts.append(look(row, hold) | _content(row) | (particulars.of(row) if arguments.name else {}))
        if not arguments.json:
            texts.append(in_full(facts[-1], held_up.sentence(hold) if hold else "", row.failure))
    if arguments.json:
        report({"certificates": facts})
    else:
        say("\n\n".join(texts))
    return 0 if all(fact["well"] for fact in facts) else 1


class _List:
    """The list. It keeps lines, not rows: there may be a hundred thousand."""

    def __init__(self, held_up: HeldUp):
        self._held_up = held_up
        self._lines: list[list[str]] = []
        self._remarks: list[str] = []
        self._endings: list[str] = []
        self._paced = 0
        self._holds: dict[Hold, None] = {}
        self.well = True

    def add(self, fact: dict[str, Any], hold: Hold | None, ending: str) -> None:
        """Add a certificate. *ending*: the sentence about an imported one that ends soon, or ""."""
        self.well = self.well and fact["well"]
        self._lines.append(_line(fact))
        if fact["last_error"]:
            self._remarks.append(f"{fact['name']}: last attempt failed: {one_line(fact['last_error'])}")
        if ending:
            self._endings.append(f"{fact['name']}: {ending}")
        if hold is not None and hold.account:
            self._holds[hold] = None
        elif hold is not None:
            self._paced += 1

    def tell(self) -> None:
        if not self._lines:
            say("nothing is enrolled; begin with `certfleet-issuer populate NAME`")
            return
        say(table(["NAME", "STATE", "VALID FOR", "NEXT", "FAILURES"], self._lines))
        for remark in (*self._remarks, *self._endings):
            say(remark)
        if self._paced:
            say(f"{self._paced} wait: {PACED}; {PACED.hint}")
        for hold in self._holds:
            whose = "every new order" if hold.scope in (ACCOUNT, REGISTRATION) else hold.scope
            say(f"{whose}: held {self._held_up.sentence(hold)}")


def _facts(
    row: Enrolment, now: int, policy: RenewalSettings, hold: Hold | None, by_hand: int | None, *, goes_on: bool
) -> dict[str, Any]:
    """*by_hand*: the end of the work by hand on its order, None without. *goes_on*: a run goes on with its order."""
    state, well = health(row, now, policy, held=hold is not None)
    by_itself = (row.enabled or goes_on) and not row.imported
    coming = by_hand or (max(row.due_at or 0, hold.until if hold else 0) if by_itself else 0)
    return {
        "name": row.name,
        "enabled": row.enabled,
        "state": state,
        "well": well,
        "failures": row.failures,
        "last_error": row.failure.sentence if row.failure else None,
        "failure": row.failure.fields if row.failure else None,
        "next": utc_text(coming) if coming else None,
        "held_until": utc_text(hold.until) if hold else None,
        "held_because": str(hold.failure) if hold else None,
        "by_hand": by_hand is not None,
        "imported": row.imported,
        "rolled_back": bool(row.rolled_back),
        "valid_for_seconds": row.ts_expire - now if row.crt else None,
        "valid_until": utc_text(row.ts_expire) if row.crt else None,
        "last_update": utc_text(row.ts_last_update) if row.ts_last_update > NEVER_ISSUED else None,
    }


def _content(row: Enrolment) -> dict[str, Any]:
    """The facts that only the certificate itself has."""
    leaf = row.present
    if not isinstance(leaf, Leaf):
        return {"names": [], "serial": None, "issuer": None}
    return {"names": sorted(leaf.names), "serial": leaf.serial, "issuer": leaf.issuer}


def _with_hosts(fact: dict[str, Any], not_well: int) -> dict[str, Any]:
    """With the number of hosts that are *not_well*. An enabled certificate is not well if there is any."""
    fact["hosts_not_well"] = not_well
    if not_well and fact["enabled"]:
        fact["state"] += f", {not_well} host{'' if not_well == 1 else 's'} not well"
        fact["well"] = False
    return fact


def _line(fact: dict[str, Any]) -> list[str]:
    left = fact["valid_for_seconds"]
    valid = "-" if left is None else duration_text(left) if left > 0 else "expired"
    coming = fact["next"] or ("at the next run" if fact["enabled"] and not fact["imported"] else "-")
    coming = f"by hand until {fact['next']}" if fact["by_hand"] else coming
    return [fact["name"], fact["state"], valid, coming, str(fact["failures"])]
