"""check: the doctor. One line for each finding; exit code 1 if any is bad."""

import argparse
import socket
import threading
import time
from collections.abc import Collection, Sequence

from common.check_line import Level, Line
from common.clock import parse_duration
from common.command_line import report, say
from common.config_file import load
from common.errors import CertfleetError, ConfigError, FileError, MailError, UsageError
from common.issuer_key import issuer_key_id
from common.mail import MailServer
from common.terminal import PROGRESS
from common.text import some
from issuer.ca.client import AcmeCa
from issuer.check.doctor import Doctor, Subject
from issuer.check.installation import database_certificate_lines
from issuer.commands.ca_ahead import ahead_lines
from issuer.commands.challenge_types import build_solvers
from issuer.commands.rows import Rows
from issuer.commands.schedule import slow_schedule
from issuer.commands.stopping import on_request
from issuer.commands.wiring import build_notices
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment
from issuer.model.errors import NotSealed, StoreError, Vanished
from issuer.model.strangers import Few
from issuer.notify.outbox import require_mailed
from issuer.rules.findings import bad, bad_lines, ok, warn
from issuer.rules.shared_failures import without
from issuer.rules.statements import Read
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.overview import Overview
from issuer.store.revision import NEEDED, require
from issuer.trust.statements import Statements

_ORDERS_LOOKED_AT = 5  # at each CA
_FIRST = 3  # findings that are alike and are told one by one


def check(arguments: argparse.Namespace) -> int:
    """Look at everything that issuing depends on, for NAMEs or for all; nothing that it changes stays."""
    try:
        wait_seconds = parse_duration(arguments.wait)
    except ValueError as error:
        raise UsageError(f"--wait: {error}", hint="like --wait 2m") from error
    settings = load(Settings, arguments.config)
    told = () if arguments.json else (Level.BAD,) if arguments.quiet else tuple(Level)
    tell = _Report(told)
    tell([ok("configuration", f"{arguments.config} is well formed")])
    subjects, orders = _subjects(settings, arguments.name, tell)
    authorities = _authorities(settings, tell)
    stopping = threading.Event()
    on_request(stopping.set)  # the test records are removed before the process ends; until here there are none
    doctor = Doctor(
        settings,
        build_solvers(settings),
        authorities,
        _mail_server(settings, tell),
        read=_read(settings, tell),
        orders=orders,
        clock=time.time,
        patience=wait_seconds,
        stopping=stopping,
    )
    tell(ahead_lines(settings, [subject.row for subject in subjects if subject.row is not None]))
    PROGRESS.tell("the first looks are under way")
    for number, lines in enumerate(doctor.examine(subjects), 1):
        tell(lines)
        PROGRESS.tell(f"{number} looks done, others are under way")
    tell.tell_others()
    for authority in authorities.values():
        authority.close()
    if stopping.is_set():
        raise KeyboardInterrupt
    if arguments.json:
        report({"well": tell.well, "findings": [_document(line) for line in tell.lines]})
    return 0 if tell.well else 1


class _Report:
    """Keeps findings, and prints those of the levels *told* as they come. Where many differ in their subject alone, the
    first few come at once, and :meth:`tell_others` tells how many others there were."""

    def __init__(self, told: Collection[Level]):
        self.lines: list[Line] = []
        self._told = told
        self._alike: dict[tuple[Level, str, str], list[str]] = {}

    def __call__(self, lines: Sequence[Line]) -> None:
        self.lines += lines
        for line in lines:
            if line.level in self._told and self._is_new(line):
                say(str(line))

    def tell_others(self) -> None:
        """Once all have come."""
        for (level, sentence, hint), subjects in self._alike.items():
            if others := subjects[_FIRST:]:
                say(str(Line(level, f"{len(others)} more ({some(others)})", sentence, hint)))

    def _is_new(self, line: Line) -> bool:
        if line.level is Level.OK:
            return True
        said = without(line.subject, line.sentence), without(line.subject, line.hint)
        subjects = self._alike.setdefault((line.level, *said), [])
        subjects.append(line.subject)
        return len(subjects) <= _FIRST

    @property
    def well(self) -> bool:
        return all(line.level is not Level.BAD for line in self.lines)


def _document(line: Line) -> dict[str, str | None]:
    return {
        "level": line.level.value,
        "subject": line.subject,
        "finding": line.sentence,
        "what_to_do": line.hint or None,
    }


def _subjects(settings: Settings, names: Sequence[str], tell: _Report) -> tuple[list[Subject], dict[str, list[str]]]:
    """The rows to look at, and URLs of the newest orders by CA. Without a usable database: the names alone."""
    try:
        database = Database(settings.database)
    except ConfigError as error:
        tell(bad_lines("database", error))
        return [Subject(name) for name in names], {}
    try:
        require(database)
        tell([ok("database", f"{database.place} is at revision {NEEDED}")])
        tell(database_certificate_lines(database.certificate_life(), time.time()))
        certificates = Certificates(database)
        try:
            certificates.change_nothing()
        except StoreError as error:  # it can be read, so the rest of the check goes on
            tell([bad("database", str(error), error.hint)])
        slow = slow_schedule(settings, database, int(time.time()))
        tell([warn("schedule", slow, "")] if slow else [])
        tell(_waiting_mail(settings, database))
        few = Rows(settings, database).few()
        rows = certificates.get(names) if names else list(filter(few, certificates.all()))
        tell(_seal_lines(settings, database, rows, few, every=not names))
        overview, directories = Overview(database), [ca.directory for ca in settings.authorities]
        orders = {directory: overview.newest_orders(directory, _ORDERS_LOOKED_AT) for directory in directories}
        return [Subject(row.name, row) for row in rows], orders
    except StoreError as error:
        tell([bad("database", str(error), error.hint)])
        return [Subject(name) for name in names], {}
    finally:
        database.close()


def _waiting_mail(settings: Settings, database: Database) -> list[Line]:
    """The finding that mail has waited for too long. Raises StoreError."""
    try:
        if settings.notify.email_to:
            require_mailed(build_notices(settings, database), time.time())
    except MailError as error:
        return bad_lines("mail", error)
    return []


def _seal_lines(
    settings: Settings, database: Database, rows: Sequence[Enrolment], few: Few, *, every: bool
) -> list[Line]:
    """The seal key, rows that are not what was enrolled, and, of *every* row, those that are gone. *few* counts those
    that nobody enrolled."""
    look = Rows(settings, database)
    try:
        lines = [ok("seals", f"the seal key is {look.seals.key_id}; issuers on one database have the same")]
        for row in rows:
            if faults := look.faults(row):
                error = NotSealed(row.name, faults)
                lines.append((bad if row.enabled else warn)(row.name, str(error), error.hint))
        if few.crowd is not None:
            lines.append(bad("certs", str(few.crowd), few.crowd.hint))
        if every:
            gone = look.vanished({row.name for row in rows}.union(few.names))
            lines += [bad(name, str(error), error.hint) for name, error in zip(gone, map(Vanished, gone), strict=True)]
        return lines
    except (ConfigError, FileError) as error:
        return bad_lines("seals", error)


def _authorities(settings: Settings, tell: _Report) -> dict[str, AcmeCa]:
    found = {}
    for ca in settings.authorities:
        try:
            found[ca.directory] = AcmeCa(settings, ca, time.time)
        except CertfleetError as error:
            tell([bad(f"CA {ca.directory}", str(error), error.hint)])
    return found


def _read(settings: Settings, tell: _Report) -> Read | None:
    """How our own statements are read; None where there is no usable key."""
    statements = Statements(settings.state_dir)
    try:
        key = statements.key()
    except ConfigError as error:
        tell(bad_lines("statement key", error))
        return None
    tell([ok("statement key", f"{statements.file} is usable; its id is {issuer_key_id(key.public)}")])
    if statements.changing:
        hint = "`certfleet-issuer key rollover`, or `db upgrade` for the first key, goes on with it"
        tell([warn("statement key", "not every certificate is signed by it yet", hint)])
    return key.statement


def _mail_server(settings: Settings, tell: _Report) -> MailServer | None:
    """The mail server; None if nobody is to get mail or a file for it is unusable. The files are read in any case."""
    try:
        server = MailServer(settings.notify, socket.gethostname())
    except CertfleetError as error:
        tell(bad_lines("mail", error))
        return None
    return server if settings.notify.email_to else None
