"""audit, mute, note: what is wrong with certificates, and what people say to that."""

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime

from common.chunks import chunks
from common.clock import parse_duration, utc_text
from common.command_line import complain, report, say, table
from common.config_file import load
from common.errors import CertfleetError, RefusedError, UsageError
from common.monitoring import as_plugin
from common.nagios import State
from common.revocation.state import Revocation
from common.terminal import PROGRESS
from common.threads import each_on_thread
from issuer.ca.client import AcmeCa
from issuer.check.audit import Surroundings
from issuer.check.revocation import Revocations, nobody_asked
from issuer.commands.challenge_types import challenge_type
from issuer.commands.hosts import Standings
from issuer.commands.issuing import issue_for
from issuer.commands.reports import Reports
from issuer.commands.rows import Rows
from issuer.dns.find.from_root import from_root
from issuer.dns.find.resolvers import Resolvers
from issuer.journey.solver import ChallengeType
from issuer.model.acme import CaIdentity
from issuer.model.audit import Finding, Kind
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment, Validation
from issuer.model.errors import Vanished
from issuer.model.hosts import Standing
from issuer.model.watch import LONGEST_MUTE, mute_words
from issuer.rules.audit import AUDIT_EVERY, completed, fixable, of_certificate, of_doubt, of_hosts, outcome, wanted
from issuer.rules.audit_text import plugin, summary, table_rows
from issuer.store.audits import Audits
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.revision import open_database

_PORTION = 500  # rows, and the reports about them, in memory at once
_AT_ONCE = 16  # certificates that DNS is asked about
_REVOCATION_SECONDS = 600.0  # for lists and responders, all together
_ROOT_SECONDS = 300.0  # for DNS from the root downwards, of all names
_LONGEST_NOTE = 1000  # characters


def audit(arguments: argparse.Namespace) -> int:
    """Show the findings about NAMEs or every enabled certificate. Exit code 1 if there is any; with --nagios that of a
    monitoring plugin."""
    if arguments.nagios:
        return as_plugin("audit", lambda: _plugin(_looked(arguments)))
    look = _looked(arguments)
    found, coming = look.found, look.coming
    _show(arguments, look)
    crowd = look.few.crowd
    if crowd is not None:
        complain(*crowd.paragraph())
    if not (arguments.fix and coming):
        return 1 if found or crowd is not None else 0
    arguments.name = sorted(coming)
    left = crowd is not None or any(one.kind not in coming.get(one.name, ()) for one in found)
    return issue_for(arguments, stay=arguments.retry) or int(left)


def _looked(arguments: argparse.Namespace) -> "_Look":
    faults = {"--retry goes with --fix": bool(arguments.retry) and not arguments.fix}
    faults["--fix goes with neither --nagios nor --json"] = arguments.fix and (arguments.nagios or arguments.json)
    for fault in (text for text, is_so in faults.items() if is_so):
        raise UsageError(fault, hint="`audit --fix --retry 1h` orders, and tries again for an hour")
    settings = load(Settings, arguments.config)
    with closing(open_database(settings.database)) as database:
        look = _Look(settings, database, arguments)
        look.at_all()
    return look


def _plugin(look: "_Look") -> tuple[State, str]:
    return plugin(look.found, look.looked_at, look.few.crowd)


def _show(arguments: argparse.Namespace, look: "_Look") -> None:
    found, said, coming = look.found, look.said, look.coming
    well = sorted(said.keys() - {one.name for one in found})
    if arguments.json:
        replaced = {name: [kind.value for kind in Kind if kind in kinds] for name, kinds in sorted(coming.items())}
        document = {"well": well, "findings": [one.fields for one in found], "to_be_replaced": replaced}
        document |= {"enrolled_by_nobody": len(look.few.names)}
        report(document | {"revocation": {name: answer.fields for name, answer in sorted(said.items())}})
        return
    if found:
        say(*table(["SEVERITY", "FINDING", "CERTIFICATE", "WHAT, AND WHAT TO DO"], table_rows(found)))
    if arguments.verbose:
        say(*(f"{name}: nothing was found" for name in well))
        say(*(f"{name}: revocation: {answer.sentence}" for name, answer in sorted(said.items())))
    if found or not arguments.quiet:
        say(summary(found, look.looked_at, len(coming), now=arguments.fix))


class _Look:
    """One `audit`: its *arguments*, and its moment; after :meth:`at_all` the answers about revocation that were *said*,
    the findings, and the kinds of those for which a new certificate is *coming*, by name."""

    def __init__(self, settings: Settings, database: Database, arguments: argparse.Namespace):
        self._settings = settings
        self._arguments = arguments
        self._now = int(time.time())
        self._certificates, self._audits = Certificates(database), Audits(database)
        self._standings = Standings(Reports(settings, database), settings.hosts, self._now)
        self._rows = Rows(settings, database)
        self.few = self._rows.few()
        self._surroundings = None if arguments.local else _surroundings(settings)
        asks = settings.audit.revocation and not arguments.local
        self._revocations = Revocations(_REVOCATION_SECONDS, self._rows.is_proven).of if asks else nobody_asked
        self._names = set[str]()  # of every row of the table
        self.said: dict[str, Revocation] = {}
        self.looked_at = 0  # certificates, and those that are gone
        self.found: list[Finding] = []
        self.coming: dict[str, frozenset[Kind]] = {}

    def at_all(self) -> None:
        for rows in self._portions():
            for row, answer, some in self._findings(rows):
                PROGRESS.tell(f"{len(self.said)} certificates audited")
                self.said[row.name] = answer
                self.looked_at += 1
                self.found += some
                if kinds := self._curable(row, some):
                    self.coming[row.name] = kinds
        if not self._arguments.name:
            gone = self._rows.vanished(self._names)
            self.looked_at += len(gone)
            self.found += (one for name in gone for one in of_doubt(name, Vanished(name)))

    def _portions(self) -> Iterator[list[Enrolment]]:
        """The rows of the names that are given; without names every enabled row, of strangers the first few."""
        names = self._arguments.name
        rows = self._certificates.get(names) if names else self._certificates.all()
        for portion in chunks(rows, _PORTION):
            self._names.update(row.name for row in portion)
            yield portion if names else [row for row in portion if row.enabled and self.few(row)]

    def _findings(self, rows: Sequence[Enrolment]) -> Iterator[tuple[Enrolment, Revocation, list[Finding]]]:
        self._standings.ask_for(rows)
        standings = [self._standings.of(row) for row in rows]
        answers = self._revocations(rows, self._now)
        work = zip(rows, answers, standings, strict=True)
        outs = each_on_thread(lambda each: self._of_one(*each), work, _AT_ONCE)
        yield from zip(rows, answers, (out.result() for out in outs), strict=True)

    def _of_one(self, row: Enrolment, answer: Revocation, standings: Sequence[Standing]) -> list[Finding]:
        days = self._settings.audit.imported_days
        found = of_certificate(row, self._now, self._settings.renewal, imported_days=days, revocation=answer)
        found += of_hosts(row, [one for one in standings if one.bad], self._now)
        doubt = self._rows.doubt(row)
        found += of_doubt(row.name, doubt)
        if self._surroundings is not None and doubt is None:
            serving = [one for one in standings if one.report.sha256]
            found += self._surroundings.findings(row, serving)
        return completed(row, found, self._now)

    def _curable(self, row: Enrolment, found: Sequence[Finding]) -> frozenset[Kind]:
        """The kinds for which the next run orders a new certificate; with --fix those for which one is ordered now,
        and the row is marked so."""
        kinds = (fixable if self._arguments.fix else wanted)(row, found, self._now)
        if not kinds or not self._rows.is_ours(row):
            return frozenset()
        if self._arguments.fix:
            left = outcome(row, found, kinds, self._now + AUDIT_EVERY)
            return kinds if self._audits.save(row, left, self._now) else frozenset()
        return kinds


def _surroundings(settings: Settings) -> Surroundings:
    """The CAs that can be asked for their names in CAA; complains of the others."""
    known = list[CaIdentity]()
    for ca in settings.authorities:
        try:
            with closing(AcmeCa(settings, ca, time.time)) as authority:
                known.append(authority.identity(authority.find_account()))
        except CertfleetError as error:
            complain(f"warning: CAA is not looked at for the CA {ca.directory}: {error}")

    def type_of(way: Validation) -> ChallengeType | None:
        try:
            return challenge_type(way)
        except RefusedError:
            return None

    return Surroundings(Resolvers(settings.dns.resolvers), known, type_of, from_root(settings.dns, _ROOT_SECONDS))


def mute(arguments: argparse.Namespace) -> None:
    """Opt certificates out of replacing or of mails until a moment, or end that."""
    if arguments.off == (arguments.until is not None):
        raise UsageError("give either --until TIME or --off", hint="`mute NAME --until 2026-12-24`, `mute NAME --off`")
    if arguments.off and (arguments.replacing or arguments.mails):
        hint = "`mute NAME --off` ends both; `mute NAME --until TIME --mails` then mutes one of them alone"
        raise UsageError("--off ends the whole mute, so --replacing and --mails do not go with it", hint=hint)
    now = int(time.time())
    until = None if arguments.off else _moment(arguments.until, now)
    database = open_database(load(Settings, arguments.config).database)
    names = [row.name for row in Certificates(database).get(arguments.name)]
    both = not (arguments.replacing or arguments.mails)
    replacing, mails = both or arguments.replacing, both or arguments.mails
    Audits(database).mute(names, until, replacing=replacing, mails=mails, now=now)
    for name in names:
        if until is None:
            say(f"{name}: no longer muted")
            continue
        what = mute_words(replacing=replacing, mails=mails)
        say(f"{name}: until {utc_text(until)} {what}; what is due by its dates is renewed all the same")


def note(arguments: argparse.Namespace) -> None:
    """Keep whom to ask about certificates, and how they are renewed, for findings and mails."""
    if arguments.contact is None and arguments.renewal is None:
        raise UsageError("nothing is to be noted", hint="give --contact TEXT, --renewal TEXT, or both; - for none")
    contact, renewal = (text if text is None else _words(text) for text in (arguments.contact, arguments.renewal))
    database = open_database(load(Settings, arguments.config).database)
    names = [row.name for row in Certificates(database).get(arguments.name)]
    Audits(database).note(names, contact=contact, renewal_note=renewal)
    given = [(what, text) for what, text in (("contact", contact), ("renewal", renewal)) if text is not None]
    told = ", ".join(f"{what} {'noted' if text else 'cleared'}" for what, text in given)
    say(*(f"{name}: {told}" for name in names))


def _words(text: str) -> str:
    """One line that fits; "" for "-". Raises UsageError."""
    if len(text) > _LONGEST_NOTE or not text.isprintable():
        raise UsageError(f"a note is one line of at most {_LONGEST_NOTE} characters", hint="shorten it")
    return "" if text.strip() == "-" else text.strip()


def _moment(text: str, now: int) -> int:
    """Epoch seconds of a date (its first second, UTC), or of a length of time from now, like 14d. Raises UsageError."""
    try:
        until = now + parse_duration(text)
    except ValueError:
        try:
            given = datetime.fromisoformat(text)
        except ValueError as error:
            hint = "like 2026-12-24, 2026-12-24T06:00, or 14d for two weeks from now; in UTC"
            raise UsageError(f"--until: {text!r} is no moment", hint=hint) from error
        until = int((given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp())
    if not now < until <= now + LONGEST_MUTE:
        hint = f"give one within {LONGEST_MUTE // 86400} days"
        raise UsageError(f"--until: {utc_text(until)} has passed or is too far ahead", hint=hint)
    return until
