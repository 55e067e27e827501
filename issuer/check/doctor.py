"""All findings of one `check`, gathered in parallel and given out in a fixed order, a group at a time."""

import stat
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from common.check_line import Line
from common.clock import Clock
from common.deadline import Deadline
from common.errors import CertfleetError, RefusedError
from common.mail import MailServer
from common.threads import each_on_thread, on_thread
from issuer.ca.account import load_binding_key
from issuer.ca.client import AcmeCa
from issuer.check.from_root import RootLook
from issuer.check.installation import account_key_line, authority_lines, identity, mail_line
from issuer.check.names import caa_lines, certificate_lines, change_lines, csr_lines, imported_line
from issuer.dns.find.from_root import from_root
from issuer.dns.find.resolvers import Resolvers
from issuer.journey.solver import CheckableSolver, looked_up, solver_for
from issuer.model.acme import CaIdentity
from issuer.model.config import CaSettings, Settings
from issuer.model.csr import CsrFacts
from issuer.model.enrolment import Enrolment, Validation
from issuer.rules.change import newest, shares
from issuer.rules.findings import Findings, Probe, bad_lines, ok
from issuer.rules.statements import Read, finding

_AT_ONCE = 16
_ROOT_SECONDS = 120.0  # for the names of all certificates, from the root downwards
_LOOK_SECONDS = 0.2  # so soon an end is noticed
_LAST_SECONDS = 3.5  # in which test records are removed once an end was asked for; a silent server may take longer

T = TypeVar("T")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Subject:
    """A row to check; without a database only a DNS name."""

    name: str
    row: Enrolment | None = None


class Doctor:
    """*solvers*: by challenge type. *authorities*: by directory, without those whose account key could not be loaded.
    *orders*: URLs of the newest orders in the database, by directory. *mail_server*: None without mail. *read*: our own
    statements; None without a key.
    *patience*: how many seconds a probe may take."""

    def __init__(
        self,
        settings: Settings,
        solvers: Mapping[str, CheckableSolver],
        authorities: Mapping[str, AcmeCa],
        mail_server: MailServer | None,
        *,
        read: Read | None,
        orders: Mapping[str, Sequence[str]],
        clock: Clock,
        patience: float,
        stopping: threading.Event,
    ):
        self._settings = settings
        self._solvers = solvers
        self._resolvers = Resolvers(settings.dns.resolvers)
        self._from_root = RootLook(from_root(settings.dns, _ROOT_SECONDS), self._resolvers)
        self._authorities = authorities
        self._mail_server = mail_server
        self._read = read
        self._orders = orders
        self._clock = clock
        self._stopping = stopping
        self._patience = patience
        self._end: Deadline | None = None

    def examine(self, subjects: Sequence[Subject]) -> Iterator[list[Line]]:
        """Groups of findings: account keys, CAs and files; each subject; each probe; last the mail server, which may be
        silent for long."""
        mail = on_thread(self._mail)
        keys_and_cas = [line for lines in self._each(self._authority, self._settings.authorities) for line in lines]
        yield keys_and_cas + self._files()
        yield from self._subjects(subjects)
        while not self._stopping.is_set():
            if wait([mail], _LOOK_SECONDS).done:
                yield mail.result()
                return

    def _files(self) -> list[Line]:
        """One finding for each usable secret file of the configuration, and one for each fault of the others.

        Files are read also if no certificate needs them today. Account keys, passwords and CA bundles are read with the
        server that they belong to.
        """
        files: list[tuple[str, Path | None, Callable[[Path], object]]] = [
            *((f"CA {ca.directory}", ca.eab_hmac_file, load_binding_key) for ca in self._settings.authorities),
            *(file for solver in self._solvers.values() for file in solver.files()),
        ]
        return [line for subject, file, load in files if file is not None for line in _read(subject, file, load)]

    def _subjects(self, subjects: Sequence[Subject]) -> Iterator[list[Line]]:
        identities = [known for known in self._each(identity, self._authorities.values()) if known is not None]
        probes: dict[Hashable, Probe] = {}
        for found in self._each(lambda subject: self._subject(subject, identities), subjects):
            probes |= found.probes
            yield found.lines
        yield from self._each(self._put_to_the_test, probes.values())

    def _each(self, work: Callable[[Item], T], items: Iterable[Item]) -> Iterator[T]:
        """The results in the order of *items*. Once an end was asked for, what does not return soon is left at any
        instruction, as by a kill."""
        for out in each_on_thread(work, items, _AT_ONCE):
            while not wait([out], _LOOK_SECONDS).done:
                if self._is_over():
                    return
            yield out.result()

    def _is_over(self) -> bool:
        if self._stopping.is_set() and self._end is None:
            self._end = Deadline(_LAST_SECONDS)
        return self._end is not None and self._end.over

    def _authority(self, ca: CaSettings) -> list[Line]:
        file = self._settings.account_key(ca)
        first = ca is self._settings.authorities[0]
        if ca.directory not in self._authorities:
            return []
        lines = [account_key_line(file, stat.S_IMODE(file.stat().st_mode))] if first or ca.account_key else []
        orders = self._orders.get(ca.directory, ())
        return lines + authority_lines(self._authorities[ca.directory], ca, self._clock, orders, first=first)

    def _mail(self) -> list[Line]:
        return [] if self._mail_server is None else [mail_line(self._mail_server, self._settings.notify)]

    def _subject(self, subject: Subject, identities: Sequence[CaIdentity]) -> Findings:
        if self._stopping.is_set():
            return Findings()
        row = subject.row
        ways = Validation().shares([subject.name])
        lines: list[Line] = []
        if row is not None:
            statement = finding(row, self._read) if self._read is not None else None
            lines = [statement] if statement is not None else []
            if row.imported and row.change is None:
                return Findings([imported_line(row, int(self._clock()), self._settings.renewal), *lines])
            file = self._settings.csr_dir / f"{row.name}.csr"
            facts, of_csr = csr_lines(newest(row), file)
            lines += of_csr
            if facts is None:
                return Findings(lines)
            own = facts if row.change is None else row.request
            if isinstance(own, CsrFacts):
                lines += certificate_lines(row, own)
            lines += change_lines(row)
            ways = shares(row)
        probes: dict[Hashable, Probe] = {}
        for way, some in ways:
            try:
                solver = solver_for(way, self._solvers)
            except RefusedError as error:
                lines += bad_lines(subject.name, error)
                continue
            lines += self._from_root.lines(each for name in some for each in looked_up(solver.type, name))
            found = solver.examine(subject.name, some, way, identities)
            lines += caa_lines(self._resolvers, some, solver.type.name, identities) + found.lines
            probes |= found.probes
        return Findings(lines, probes)

    def _put_to_the_test(self, probe: Probe) -> list[Line]:
        return [] if self._stopping.is_set() else probe(self._clock, self._patience, self._stopping.wait)


def _read(subject: str, file: Path, load: Callable[[Path], object]) -> list[Line]:
    try:
        load(file)
    except CertfleetError as error:
        return bad_lines(subject, error)
    return [ok(subject, f"{file} is usable")]
