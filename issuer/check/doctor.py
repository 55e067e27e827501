"""Every check of one run, side by side; hands out its findings in a steady order, a group at a time."""

import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from common.clock import Clock
from issuer.check.files import file_lines
from issuer.check.installation import AcmeServer, Post, account_key_line, authority_lines, identity, mail_line
from issuer.check.names import (
    CaIdentity,
    caa_lines,
    certificate_lines,
    csr_lines,
    imported_line,
    places,
    wildcard_lines,
)
from issuer.check.verdicts import Line, bad_lines, ok
from issuer.check.zone_probe import ZoneProbe
from issuer.dns.find.locate import Place
from issuer.dns.zones import Zones
from issuer.ground.threads import aside
from issuer.model.config import CaSettings, Settings
from issuer.model.enrolment import Enrolment
from issuer.webroot.webroots import Webroots

_AT_ONCE = 16
_LOOK_SECONDS = 0.2  # how soon it is seen that there is to be an end


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at under one name: a row, or, without a database, a bare DNS name."""

    name: str
    row: Enrolment | None = None
    md5_modulus: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of one subject before its zones are put to the test."""

    lines: list[Line] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)


class Doctor:
    """*authorities*: by directory, without those whose account key could not be loaded; *orders*: the URLs of the
    newest ones of the database, by directory too. *post*: None when nobody is to get mail."""

    def __init__(
        self,
        settings: Settings,
        zones: Zones,
        webroots: Webroots,
        authorities: Mapping[str, AcmeServer],
        post: Post | None,
        *,
        orders: Mapping[str, Sequence[str]],
        clock: Clock,
        patience: float,
        stopping: threading.Event,
    ):
        self._settings = settings
        self._zones = zones
        self._webroots = webroots
        self._authorities = authorities
        self._post = post
        self._orders = orders
        self._clock = clock
        self._stopping = stopping
        self._probe = ZoneProbe(zones, clock, patience, stopping)

    def examine(self, subjects: Sequence[Subject]) -> Iterator[list[Line]]:
        """Account keys and CAs, the files that the configuration names; each subject, then each zone that they share;
        last the mail server, which may stay silent for long."""
        mail = aside(self._mail)
        yield self._installation()
        yield from self._subjects(subjects)
        while not self._stopping.is_set():
            if wait([mail], _LOOK_SECONDS).done:
                yield mail.result()
                return

    def _installation(self) -> list[Line]:
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="check") as pool:
            lines = [line for lines in pool.map(self._authority, self._settings.authorities) for line in lines]
            return lines + file_lines(self._settings)

    def _subjects(self, subjects: Sequence[Subject]) -> Iterator[list[Line]]:
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="check") as pool:
            identities = [known for known in pool.map(identity, self._authorities.values()) if known is not None]
            shared: dict[Place, None] = {}
            for found in pool.map(lambda subject: self._subject(subject, identities), subjects):
                shared |= dict.fromkeys(found.places)
                yield found.lines
            yield from pool.map(self._zone, shared)

    def _authority(self, ca: CaSettings) -> list[Line]:
        file = self._settings.account_key(ca)
        first = ca is self._settings.authorities[0]
        if ca.directory not in self._authorities:
            return []
        lines = [account_key_line(file, stat.S_IMODE(file.stat().st_mode))] if first or ca.account_key else []
        orders = self._orders.get(ca.directory, ())
        return lines + authority_lines(self._authorities[ca.directory], ca, self._clock, orders, first=first)

    def _mail(self) -> list[Line]:
        return [] if self._post is None else [mail_line(self._post, self._settings.notify)]

    def _subject(self, subject: Subject, identities: Sequence[CaIdentity]) -> Findings:
        if self._stopping.is_set():
            return Findings()
        row = subject.row
        names: Sequence[str] = [subject.name]
        lines: list[Line] = []
        if row is not None:
            if row.imported:
                return Findings([imported_line(row, int(self._clock()), self._settings.renewal)])
            file = self._settings.csr_dir / f"{row.name}.csr"
            facts, lines = csr_lines(row.name, row.csr, subject.md5_modulus, file)
            if facts is None:
                return Findings(lines)
            names = facts.names
            lines += certificate_lines(row.name, row.crt, row.ca, facts)
        method = "dns-01" if row is None else row.challenge_type
        lines += caa_lines(self._zones.resolvers, names, method, identities)
        if row is not None and row.http01:
            return Findings(lines + self._webroot(row, names))
        lines += wildcard_lines(self._zones.resolvers, names)
        found, unplaced = places(self._zones, names)
        return Findings(lines + unplaced, found)

    def _webroot(self, row: Enrolment, names: Sequence[str]) -> list[Line]:
        lines = [line for error in self._webroots.obstacles(names, row) for line in bad_lines(row.name, error)]
        return lines or [ok(row.name, f"challenge files can be put into {row.webroot_path}")]

    def _zone(self, place: Place) -> list[Line]:
        return [] if self._stopping.is_set() else self._probe.lines(place)
