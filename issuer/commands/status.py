"""status: what is enrolled, until when it is valid, what happens next and what went wrong."""

import argparse
import time
from typing import Any

from common.certificate import dns_names, issuer_text, parse_bundle, serial_text
from common.clock import duration_text, utc_text
from common.command_line import report, say, table
from common.errors import one_line
from issuer.commands.held import HeldUp
from issuer.commands.particulars import Particulars, in_full
from issuer.config import RenewalSettings, load
from issuer.limits import ACCOUNT, PACED, RAISE, Hold
from issuer.model import Enrolment
from issuer.plan import health
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.overview import Overview
from issuer.watch import runs_out, sentence


def status(arguments: argparse.Namespace) -> int:
    """One line a certificate, or with NAME everything about it; exit code 1 if any enabled one is not well."""
    settings = load(arguments.config)
    database = Database(settings.database)
    certificates = Certificates(database)
    rows = certificates.get(arguments.name) if arguments.name else certificates.all()
    now = int(time.time())
    held_up = HeldUp(settings, database, now)
    by_hand = Overview(database).by_hand({row.name for row in rows}, now)
    holds = {row.name: held_up.by(row) for row in rows}
    until = {name: order.deadline for name, order in by_hand.items()}
    facts = [_facts(row, now, settings.renewal, holds[row.name], until.get(row.name)) for row in rows]
    if arguments.name:
        particulars = Particulars(settings, database, now)
        facts = [fact | particulars.of(row) for row, fact in zip(rows, facts, strict=True)]
    if arguments.json:
        report({"certificates": facts})
    elif not rows:
        say("nothing is enrolled; begin with `certfleet-issuer populate NAME`")
    elif arguments.name:
        for number, fact in enumerate(facts):
            hold = holds[fact["name"]]
            say("\n" * bool(number) + in_full(fact, held_up.sentence(hold) if hold else ""))
    else:
        say(table(["NAME", "STATE", "VALID FOR", "NEXT", "FAILURES"], [_line(fact) for fact in facts]))
        for fact in facts:
            if fact["last_error"]:
                say(f"{fact['name']}: last attempt failed: {one_line(fact['last_error'])}")
        for row in rows:
            if row.enabled and runs_out(row, now, settings.renewal):
                say(f"{row.name}: {sentence(row)}")
        paced = [hold for hold in holds.values() if hold is not None and not hold.account]
        if paced:
            say(f"{len(paced)} wait: {PACED}; {RAISE}")
        for hold in dict.fromkeys(hold for hold in holds.values() if hold is not None and hold.account):
            whose = "every new order" if hold.scope == ACCOUNT else hold.scope
            say(f"{whose}: {held_up.sentence(hold)}")
    return 0 if all(fact["well"] for fact in facts) else 1


def _facts(row: Enrolment, now: int, policy: RenewalSettings, hold: Hold | None, by_hand: int | None) -> dict[str, Any]:
    """*by_hand*: until when a person has its order; None: nobody has."""
    state, well = health(row, now, policy, held=hold is not None)
    coming = by_hand or (0 if row.imported else max(row.due_at or 0, hold.until if hold else 0))
    facts: dict[str, Any] = {
        "name": row.name,
        "enabled": row.enabled,
        "state": state,
        "well": well,
        "failures": row.failures,
        "last_error": row.last_error or None,
        "next": utc_text(coming) if coming else None,
        "held_until": utc_text(hold.until) if hold else None,
        "held_because": hold.reason if hold else None,
        "by_hand": by_hand is not None,
        "imported": row.imported,
        "rolled_back": bool(row.rolled_back),
        "valid_for_seconds": row.ts_expire - now if row.crt else None,
        "valid_until": utc_text(row.ts_expire) if row.crt else None,
        "last_update": utc_text(row.ts_last_update) if row.ts_last_update > 1 else None,
    }
    try:
        leaf = parse_bundle(row.crt).leaf
    except ValueError:
        return {**facts, "names": [], "serial": None, "issuer": None}
    return {**facts, "names": sorted(dns_names(leaf)), "serial": serial_text(leaf), "issuer": issuer_text(leaf)}


def _line(fact: dict[str, Any]) -> list[str]:
    left = fact["valid_for_seconds"]
    valid = "-" if left is None else duration_text(left) if left > 0 else "expired"
    coming = (fact["next"] or "at the next run") if fact["enabled"] and not fact["imported"] else "-"
    coming = f"by hand until {fact['next']}" if fact["by_hand"] else coming
    return [fact["name"], fact["state"], valid, coming, str(fact["failures"])]
