"""The solver of dns-persist-01: it looks whether the record of each name is there. A person publishes it.

It never changes DNS. In a Challenge *owner* is the name of the record, *zone* is "" and *value* has a line for each
record that counts. The authoritative servers are asked: after a person has published the record, a resolver may say for
hours that there is none (RFC 2308). The resolvers are asked where no authoritative server can be, and where an alias
leads into another zone.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from shlex import quote

import dns.message

from common.check_line import Level, Line
from common.clock import Clock, utc_text
from common.errors import CertfleetError, Retry
from common.threads import each_on_thread
from issuer.dns.asked_for import asked_in
from issuer.dns.asking import NoAnswer, ask_each
from issuer.dns.find.delegation import Delegations
from issuer.dns.find.locate import soa_owner
from issuer.dns.find.resolvers import Resolvers
from issuer.dns.find.routes import route_for, routes
from issuer.dns.passages import needs_of_records
from issuer.dns.persist01 import DnsPersist01
from issuer.dns.servers import (
    DNS_PORT,
    Server,
    configured_servers,
    denies,
    is_authoritative,
    question,
    rrset_in,
    shown_txt,
    targets,
)
from issuer.model.acme import CaIdentity, Challenge, Laggard
from issuer.model.asked import Asked
from issuer.model.config import DnsSettings
from issuer.model.enrolment import Enrolment, Validation
from issuer.model.errors import AcmeProblem, DnsError
from issuer.rules.egress import Needs
from issuer.rules.findings import Findings, bad, bad_lines, ok, warn
from issuer.rules.persist import (
    WARN_SECONDS,
    Wanted,
    ends_at,
    names_exactly,
    objection,
    owner_of,
    wanted_at,
    wanted_in,
    zone_line,
)

_LOOKS_AT_ONCE = 16
_MOST_SERVERS = 16

Shown = Mapping[str, set[str]]
"""The TXT values of a name, by who shows them."""


class Records:
    """The :class:`issuer.journey.solver.CheckableSolver` of dns-persist-01. Thread-safe. *port*: the port of the
    servers in a delegation."""

    type = DnsPersist01()
    patience = 0  # nothing of ours is under way: what is missing now comes only after a person's work
    propagation: Mapping[str, float] = {}

    def __init__(self, settings: DnsSettings, *, port: int = DNS_PORT, clock: Clock = time.time):
        self._routes = routes(settings)
        self._query_logs = settings.query_logs
        self._resolvers = Resolvers(settings.resolvers)
        self._delegations = Delegations(self._resolvers, port)
        self._clock = clock

    def place(self, name: str, row: Enrolment) -> tuple[str, str]:
        """The name of the record, and no zone. Raises DnsError where no CA and account could have a record, and
        UsageError for a name that can have none: that must not cost an order."""
        self.type.require(Validation(), [name])
        owner = owner_of(name)
        complaints = self._complaints(owner, _any_for(name))
        if complaints:
            raise _not_there(complaints, _how_to_print(name))
        return owner, ""

    def servers(self, name: str) -> tuple[list[Server], list[str]]:
        """The name servers that we ask for the record of *name*, and the host names of those that a CA asks."""
        return self._servers(owner_of(name)), self._hosts(owner_of(name))

    def publish(self, entries: Sequence[Challenge]) -> None:
        """Does nothing: a person publishes."""

    def withdraw(self, entries: Sequence[Challenge]) -> None:
        """Does nothing: the record is a person's."""

    def keeper(self, entry: Challenge) -> str:
        return ""

    def unseen(self, entries: Sequence[Challenge]) -> list[Laggard]:
        looks = each_on_thread(self._unseen, entries, _LOOKS_AT_ONCE)
        return [laggard for look in looks for laggard in look.result()]

    def too_late(self, laggards: Sequence[Laggard]) -> DnsError:
        return _not_there(laggards, "; ".join(dict.fromkeys(laggard.hint for laggard in laggards)))

    def asked(self, entries: Sequence[Challenge], since: float) -> Asked | None:
        """The questions about these records in the query logs."""
        return asked_in(self._query_logs, {entry.identifier: [entry.owner] for entry in entries}, since)

    def load_keys(self) -> None:
        """Does nothing: there are none."""

    def files(self) -> list[tuple[str, Path | None, Callable[[Path], object]]]:
        return []

    def examine(
        self, subject: str, names: Sequence[str], validation: Validation, authorities: Sequence[CaIdentity]
    ) -> Findings:
        """Would each CA accept the record of each name, and until when?"""
        looks = each_on_thread(partial(self._lines, authorities), names, _LOOKS_AT_ONCE)
        return Findings([line for look in looks for line in look.result()])

    def needs(self, names: Sequence[str], validations: Sequence[Validation]) -> Needs:
        return needs_of_records(names, self.servers)

    def _lines(self, authorities: Sequence[CaIdentity], name: str) -> list[Line]:
        try:
            self.type.require(Validation(), [name])
            shown = self._shown(owner_of(name))
        except CertfleetError as error:
            return bad_lines(name, error)
        if faults := _faults(shown, _any_for(name), self._clock()):
            return [bad(name, f"{owner_of(name)}: {faults}", _how_to_print(name))]
        return [
            _line(name, shown, ca, self._clock(), Level.WARN if number else Level.BAD)
            for number, ca in enumerate(authorities)
        ]

    def _unseen(self, entry: Challenge) -> list[Laggard]:
        return self._complaints(entry.owner, wanted_in(entry.value), f"publish {self.type.instruction(entry)}")

    def _complaints(self, owner: str, wanted: Wanted, hint: str = "") -> list[Laggard]:
        now = self._clock()
        verdicts = {who: objection(values, wanted, now) for who, values in self._shown(owner).items()}
        return [Laggard(f"{owner} at {who}", why, hint) for who, why in verdicts.items() if why]

    def _shown(self, owner: str) -> Shown:
        """The records at each authoritative server, without those that do not answer: a CA leaves them out too. Raises
        DnsError where nobody answers."""
        heard = self._by_authorities(owner)
        shown = {str(server): shown_txt(answer) for server, answer in heard.items()}
        elsewhere = any(rrset_in(answer.answer, "CNAME") and not shown_txt(answer) for answer in heard.values())
        if shown and not elsewhere:
            return shown
        try:
            return {"the resolvers": shown_txt(self._resolvers.ask(owner, "TXT"))}
        except NoAnswer as error:
            hint = "check the resolvers in [dns], or this machine's own"
            raise DnsError(f"{owner} cannot be looked up", why=str(error), hint=hint, retry=Retry.SOON) from error

    def _by_authorities(self, owner: str) -> dict[Server, dns.message.Message]:
        return {
            server: answer
            for server, answer in ask_each(self._servers(owner), question(owner, "TXT")).items()
            if not isinstance(answer, NoAnswer) and is_authoritative(answer) and (answer.answer or denies(answer))
        }

    def _servers(self, owner: str) -> list[Server]:
        """The servers of the zone with *owner*: nameservers of the configuration, else those in its NS records."""
        configured = route_for(owner, self._routes).nameservers
        if configured:
            return configured_servers("nameservers", configured)
        found = [server for host in self._hosts(owner) for server in self._delegations.addresses(host)]
        return list(dict.fromkeys(found))[:_MOST_SERVERS]

    def _hosts(self, owner: str) -> list[str]:
        """The host names in the NS records of the zone with *owner*; [] where nobody says."""
        try:
            zone = soa_owner(self._resolvers.ask(owner, "SOA"), owner)
            return targets(rrset_in(self._resolvers.ask(zone, "NS").answer, "NS", zone)) if zone else []
        except NoAnswer:
            return []


def _line(name: str, shown: Shown, ca: CaIdentity, now: float, fault: Level) -> Line:
    """The finding about one CA."""
    subject = f"{owner_of(name)}, {ca.directory}"
    try:
        wanted = wanted_at(ca, name)
    except AcmeProblem as error:
        return warn(name, f"{subject}: {error}", error.hint if ca.account else _how_to_print(name))
    if faults := _faults(shown, wanted, now):
        return Line(fault, name, f"{subject}: {faults}", f"publish {_to_publish(name, wanted)}")
    if not all(names_exactly(values, wanted) for values in shown.values()):
        sentence = f"{subject}: the record does not name our present key; the CA may know it from an earlier one"
        return warn(name, sentence, f"publish {_to_publish(name, wanted)}")
    ends = [end for values in shown.values() if (end := ends_at(values, wanted, now)) is not None]
    if ends and min(ends) - now <= WARN_SECONDS:
        hint = "publish one with a later persistUntil, or without one"
        return warn(name, f"{subject}: the record counts until {utc_text(min(ends))}", hint)
    return ok(name, f"{subject}: the record counts")


def _faults(shown: Shown, wanted: Wanted, now: float) -> str:
    """Each server without a record that counts, and why; "" for none."""
    verdicts = {who: objection(values, wanted, now) for who, values in shown.items()}
    return "; ".join(f"{why} at {who}" for who, why in verdicts.items() if why)


def _any_for(name: str) -> Wanted:
    """A record for *name* of any CA and account."""
    return Wanted(wildcard=name.startswith("*."))


def _how_to_print(name: str) -> str:
    return f"`certfleet-issuer zone --persist {quote(name)}` prints the record to publish"


def _to_publish(name: str, wanted: Wanted) -> str:
    return zone_line(owner_of(name), wanted.records[0])


def _not_there(complaints: Sequence[Laggard], hint: str) -> DnsError:
    what = "the record for dns-persist-01 is not there; the CA was not asked to look"
    why = "; ".join(dict.fromkeys(map(str, complaints)))
    return DnsError(what, why=why, hint=hint, reference="dns-persist")
