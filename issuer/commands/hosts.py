"""status --hosts, and what `status` tells of hosts: each report about a certificate, the worst first."""

import argparse
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from common.clock import utc_text
from common.command_line import say, table
from common.config_file import load
from common.errors import UsageError
from common.terminal import Colour
from common.text import storable
from issuer.commands.reports import Reports
from issuer.loops.hosts import look_at_hosts
from issuer.model.config import Settings
from issuer.model.config_watch import HostSettings
from issuer.model.enrolment import Enrolment
from issuer.model.hosts import HostState, Report, Standing
from issuer.notify.outbox import Outbox
from issuer.rules.hosts import count_words, standing, words, worst_first
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.revision import open_database

_MOST_OF_ONE = 20  # hosts of a certificate in its full view
_MOST = 1000  # lines of the list of hosts
_LONGEST_SENTENCE = 500  # characters of an agent's sentence
_NOT_WELL = {state: state.value for state in HostState if not state.is_well}
_LONGEST = 80  # characters of a host's or an account's name


class Standings:
    """How the hosts of some certificates stand at *now*. Raises StoreError, FileError."""

    def __init__(self, hosts: Reports, settings: HostSettings, now: int):
        self._hosts = hosts
        self._settings = settings
        self._now = now
        self._reports: Mapping[str, Sequence[Report]] = {}

    def ask_for(self, rows: Sequence[Enrolment]) -> None:
        """Read the reports about *rows*, for the methods below."""
        self._reports = self._hosts.reports([row.name for row in rows], self._now)

    def of(self, row: Enrolment) -> list[Standing]:
        return [standing(report, row, self._now, self._settings) for report in self._reports.get(row.name, ())]

    def listed(self, found: Sequence[Standing]) -> dict[str, Any]:
        """The worst of *found* for --json, and how many more there are."""
        shown = worst_first(found)[:_MOST]
        return {"hosts": self._facts(shown, {}), "more": len(found) - len(shown)}

    def counts(self, row: Enrolment) -> Counter[HostState]:
        """How many hosts are not well, by how they are not."""
        return Counter(one.state for one in self.of(row) if one.bad)

    def in_full(self, row: Enrolment, present: str, serials: Mapping[str, str]) -> dict[str, Any]:
        """The worst hosts with their agents' sentences, and how many more there are, for --json."""
        shown = worst_first(self.of(row))[:_MOST_OF_ONE]
        facts = [fact | {"present": fact["sha256"] == present != ""} for fact in self._facts(shown, serials)]
        gone = sum(one.report.gone for one in self.of(row))
        return {"installations": facts, "more_installations": self._hosts.store.count(row.name) + gone - len(shown)}

    def _facts(self, shown: Sequence[Standing], serials: Mapping[str, str]) -> list[dict[str, Any]]:
        details = self._hosts.store.details([one.report for one in shown])
        return [self._fact(one, details.get(one.report.key, ""), serials) for one in shown]

    def _fact(self, one: Standing, detail: str, serials: Mapping[str, str]) -> dict[str, Any]:
        report = one.report
        return {
            "name": report.name,
            "host": report.host,
            "account": report.account or None,
            "state": report.state,
            "standing": one.state.value,
            "well": not one.bad,
            "since": utc_text(one.since) if one.since else None,
            "words": words(one, self._now, detail),
            "sha256": report.sha256 or None,
            "serial": serials.get(report.sha256),
            "reported": utc_text(report.reported_at),
            "detail": detail or None,
        }


def look_at_all_hosts(settings: Settings, database: Database, outbox: Outbox) -> None:
    """The look of a run. Raises StoreError, FileError: nobody would hear of a host while its report cannot be read."""
    reports, now = Reports(settings, database), int(time.time())
    reports.recall(now)
    if outbox.wanted:
        look_at_hosts(reports, Certificates(database), outbox.tell_hosts, settings.hosts, now)


def forget(arguments: argparse.Namespace) -> None:
    """Forget hosts that are no more, so that nobody misses their reports."""
    settings = load(Settings, arguments.config)
    if not arguments.host and arguments.account is None:
        raise UsageError("nothing says which hosts", hint="give HOST, or --account for all of one account")
    reports = Reports(settings, open_database(settings.database))
    count = reports.forget(arguments.host, arguments.account)
    if not count:
        raise UsageError("there is no such report", hint="`status --hosts` lists them, with host and account")
    say(f"{count} report{'' if count == 1 else 's'} forgotten; a host that still has an agent reports again")


def table_of(facts: Sequence[Mapping[str, Any]], more: int) -> list[tuple[str, Colour]]:
    """Lines of the list of hosts, each with its colour."""
    if not facts:
        return [("no host has reported", Colour.NONE)]
    rows = [
        [_name(fact["host"]), fact["name"], fact["words"], fact["reported"], _name(fact["account"])] for fact in facts
    ]
    head, *lines = table(["HOST", "NAME", "STATE", "REPORTED", "ACCOUNT"], rows)
    colours = [Colour.NONE if fact["well"] else Colour.BAD for fact in facts]
    rest = [(f"and {more} more", Colour.NONE)] if more else []
    return [(head, Colour.HEAD), *zip(lines, colours, strict=True), *rest]


def lines_of(fact: Mapping[str, Any]) -> list[str]:
    """The hosts of one certificate, for its full view; [] without any."""
    shown, more = fact["installations"], fact["more_installations"]
    if not shown:
        return []
    rows = [[_name(one["host"]), one["state"], _which(one), one["reported"], _name(one["account"])] for one in shown]
    lines = table(["HOST", "STATE", "CERTIFICATE", "REPORTED", "ACCOUNT"], rows)
    lines += [f"and {more} more; `status --hosts` lists them"] if more else []
    for one in shown:
        if one["standing"] not in (HostState.CURRENT.value, HostState.NOT_WELL.value):
            lines.append(f"{_name(one['host'])}: {one['words']}")
        if one["detail"]:
            lines.append(f"{_name(one['host'])}: {one['detail'][:_LONGEST_SENTENCE]}")
    return lines


def with_hosts(fact: dict[str, Any], counts: Counter[HostState]) -> dict[str, Any]:
    """A certificate's *fact* with the hosts that are not well. It is not well if there is any."""
    fact["hosts_not_well"] = counts.total()
    fact["hosts"] = {value: counts[state] for state, value in _NOT_WELL.items()}
    if counts:
        fact["state"] += f", {count_words(counts)}"
        fact["well"] = False
    return fact


def _name(text: str | None) -> str:
    return storable(text or "-", _LONGEST)


def _which(installation: Mapping[str, Any]) -> str:
    if installation["present"]:
        return "the present one"
    return f"serial {installation['serial']}" if installation["serial"] else "unknown here"
