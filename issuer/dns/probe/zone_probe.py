"""The test of one sub-zone: add a throw-away TXT record, time it on every server, and remove it.

The value is in no journal: a check may run beside an issuer and without a database. It is removed after an error and
after Ctrl-C too. After a kill the next check recognises and removes it.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from common.check_line import Line
from common.clock import Clock
from common.errors import CertfleetError
from issuer.dns.asking import NoAnswer, ask, ask_each
from issuer.dns.dynamic import DynamicZones
from issuer.dns.find.delegation import Delegation
from issuer.dns.find.locate import Place
from issuer.dns.find.routes import below
from issuer.dns.probe.verdicts import RoundTrip, delegation_lines, no_zone_of_its_own_line, server_lines, soa_line
from issuer.dns.see.visibility import Sought
from issuer.dns.servers import Server, is_authoritative, question, rcode_text, shown_txt, soa_in
from issuer.model.acme import Laggard
from issuer.rules.findings import bad, clock_line, ok, warn

_FIRST_LOOK, _LONGEST_LOOK = 0.05, 2.0  # seconds
_FORM = re.compile(r"certfleet-check-(\d{1,12})-[0-9a-f]{16}")  # of a throw-away value, with its moment
_STALE_SECONDS = 900  # no check takes that long


def probe(
    zones: DynamicZones, place: Place, clock: Clock, patience: float, pause: Callable[[float], bool]
) -> list[Line]:
    """Every finding about the sub-zone of *place*. Never raises CertfleetError."""
    return ZoneProbe(zones, clock, patience, pause).lines(place)


@dataclass(frozen=True, slots=True)
class ZoneProbe:
    """*patience*: how many seconds the servers may take. *pause* waits for the given seconds and returns whether to
    stop; the record is removed all the same."""

    zones: DynamicZones
    clock: Clock
    patience: float
    pause: Callable[[float], bool]

    def lines(self, place: Place) -> list[Line]:
        """Every finding about the sub-zone of *place*. Never raises CertfleetError."""
        subject = f"zone {place.zone}"
        lines: list[Line] = []
        if place.aliases:
            lines.append(ok(subject, f"{' → '.join([*place.aliases, place.owner])} is followed"))
        if not place.meant:
            lines.append(no_zone_of_its_own_line(place.zone, place.owner))
        try:
            servers, found = self._delegation(place)
            lines += found
            lines += self._primary(place)
            lines += self._round_trip(place, servers)
        except CertfleetError as error:
            lines.append(bad(subject, str(error), error.hint))
        return lines

    def _delegation(self, place: Place) -> tuple[Sequence[Server], list[Line]]:
        """The servers that have to show the record, and findings about the delegation. Raises CertfleetError."""
        primary = self.zones.primary(place.route)
        try:
            delegation = self.zones.delegations.of(place.zone, primary)
        except CertfleetError as error:
            if not place.route.nameservers:
                raise
            # the configured servers are enough: this machine may have no view of the delegation
            return self.zones.servers(place.owner, place.zone), [warn(f"zone {place.zone}", str(error), error.hint)]
        lines = delegation_lines(delegation)
        if delegation.seen:
            lines += self._glue(delegation)
        servers = self.zones.servers(place.owner, place.zone)
        if delegation.parent:
            lines += _lame(delegation.zone, [server for server in delegation.servers if server not in servers])
        return servers, lines

    def _glue(self, delegation: Delegation) -> list[Line]:
        """Findings about glue: a name server inside the zone needs it, and no glue may be out of date."""
        lines = []
        for host in delegation.named:
            handed_out = {server.address for server in delegation.glue if server.name == host}
            known = {server.address for server in self.zones.delegations.addresses(host)}
            if below(host, delegation.zone) and not handed_out:
                hint = "add address records for it beside the NS records"
                lines.append(bad(f"zone {delegation.zone}", f"{delegation.parent} has no glue for {host}", hint))
            elif handed_out - known and known:
                sentence = f"the glue of {host} says {_some(handed_out)}, its address records say {_some(known)}"
                lines.append(warn(f"zone {delegation.zone}", sentence, f"mend the glue in {delegation.parent}"))
        return lines

    def _primary(self, place: Place) -> list[Line]:
        """Findings about the SOA's times; removes the records that a killed check left."""
        primary = self.zones.primary(place.route)
        try:
            soa = soa_in(ask(primary, question(place.zone, "SOA")), place.zone)
            left = stale(shown_txt(ask(primary, question(place.owner, "TXT"))), self.clock())
        except NoAnswer as error:
            return [bad(f"zone {place.zone}", f"{primary} cannot be asked: {error}", "check that it runs")]
        lines = [soa_line(place.zone, soa[0].minimum, soa[1])] if soa is not None else []
        if left:
            self.zones.remove(place.zone, place.route, [(place.owner, value) for value in left])
            lines.append(ok(f"zone {place.zone}", f"{len(left)} left by an interrupted check removed"))
        return lines

    def _round_trip(self, place: Place, servers: Sequence[Server]) -> list[Line]:
        value = new_value(self.clock())
        subject = f"zone {place.zone}"
        lines: list[Line] = []
        try:
            theirs = self.zones.add(place.zone, place.route, [(place.owner, value)])
            lines.append(ok(subject, f"{self.zones.primary(place.route)} takes updates with our key"))
            lines.append(clock_line(subject, abs(theirs - self.clock()), signed=True))
            lines += self._wait(place, value, servers)
        except CertfleetError as error:
            lines.append(bad(subject, str(error), error.hint))
        finally:
            lines += self._remove(place, value, tried=len(lines) > 1)
        return lines

    def _wait(self, place: Place, value: str, servers: Sequence[Server]) -> list[Line]:
        sought = [Sought(place.owner, place.zone, frozenset([value]), tuple(servers))]
        began = time.monotonic()
        pause = _FIRST_LOOK
        while laggards := self.zones.visibility.unseen(sought):
            if time.monotonic() - began > self.patience or self.pause(pause):
                break
            pause = min(pause * 1.6, _LONGEST_LOOK)
        trip = self._outcome(place, value, sought, laggards, time.monotonic() - began)
        return server_lines(place.zone, trip)

    def _outcome(
        self, place: Place, value: str, sought: Sequence[Sought], laggards: Sequence[Laggard], waited: float
    ) -> RoundTrip:
        """Ask the servers that do not show the record for the zone's serial, which tells the reason."""
        primary = self.zones.primary(place.route)
        shown = self.zones.visibility.shown_by(place.owner, value)
        others = [server for item in sought for server in item.servers if server not in shown]
        asked = [primary, *others] if others else []
        answers = ask_each(asked, question(place.zone, "SOA"))
        if laggards:  # look again: a server that has just caught up has the newest serial, which would mislead
            laggards = self.zones.visibility.unseen(sought)
            shown = self.zones.visibility.shown_by(place.owner, value)
        heard = {str(server): answer for server, answer in answers.items() if not isinstance(answer, NoAnswer)}
        found = {server: soa_in(answer, place.zone) for server, answer in heard.items() if is_authoritative(answer)}
        serials = {server: soa[0].serial for server, soa in found.items() if soa is not None}
        settled = {late.who for late in laggards} | {str(server) for server in shown}
        unasked = [(str(server), answers[server]) for server in others if str(server) not in settled]
        return RoundTrip(
            shown=sorted((str(server), seconds) for server, seconds in shown.items()),
            laggards=laggards,
            waited=waited,
            unasked=[(server, str(why) if isinstance(why, NoAnswer) else "it was silent") for server, why in unasked],
            serials=serials,
            away=[str(server) for server, answer in answers.items() if isinstance(answer, NoAnswer)],
            newest=serials.get(str(primary)),
        )

    def _remove(self, place: Place, value: str, *, tried: bool) -> list[Line]:
        """Remove the record, also when it is not known whether the server took it. *tried*: was the update accepted?"""
        try:
            self.zones.remove(place.zone, place.route, [(place.owner, value)])
        except CertfleetError as error:
            if not tried:
                return []
            hint = f"delete the TXT value {value} at {place.owner}; the next check tries it too"
            return [bad(f"zone {place.zone}", f"the throw-away record is still there: {error}", hint)]
        return []


def _some(addresses: set[str]) -> str:
    return ", ".join(sorted(addresses))


def new_value(now: float) -> str:
    """A value that nobody else makes; it holds its moment *now* (epoch seconds)."""
    return f"certfleet-check-{int(now)}-{secrets.token_hex(8)}"


def stale(values: Iterable[str], now: float) -> list[str]:
    """The *values* that a killed check left."""
    found = [(value, _FORM.fullmatch(value)) for value in values]
    return sorted(value for value, form in found if form and not -60 < now - int(form[1]) < _STALE_SECONDS)


def _lame(zone: str, servers: Sequence[Server]) -> list[Line]:
    """A finding for each of the *servers* in the delegation that does not serve *zone*. Those that have to show the
    record are asked for it, so these are the others: `nameservers` may name fewer, and a CA asks any."""
    lines = []
    for server, answer in ask_each(servers, question(zone, "SOA")).items():
        if not isinstance(answer, NoAnswer) and not (is_authoritative(answer) and answer.answer):
            sentence = f"{server} does not serve it (lame): {rcode_text(answer)} without authority"
            lines.append(bad(f"zone {zone}", sentence, "load the zone there, or take it out of the NS list"))
    return lines
