"""The dns-01 solver: locate, publish, see and withdraw TXT values in the dynamic sub-zones (RFC 8555 §8.4).

In a Challenge *owner* is the name of the TXT record after all aliases, *zone* the zone that is updated, and *value* the
TXT value.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from common.clock import duration_text
from common.errors import CertfleetError, Retry
from common.names import parse_dns_name
from issuer.dns.asked_for import asked_in
from issuer.dns.asking import NoAnswer, ask
from issuer.dns.dns01 import Dns01, sub_zone
from issuer.dns.dynamic import DynamicZones
from issuer.dns.find.routes import Route, route_for
from issuer.dns.passages import needs_of_zones
from issuer.dns.probe.examine import examine
from issuer.dns.see.visibility import Sought
from issuer.dns.servers import DNS_PORT, Server, is_authoritative, question, shown_txt
from issuer.dns.write.tsig import load_tsig_key
from issuer.dns.write.update import UPDATE_SECONDS, TxtValue
from issuer.ground.silence import Silence
from issuer.logs.ends import readable
from issuer.model.acme import CaIdentity, Challenge, Laggard
from issuer.model.asked import Asked
from issuer.model.config import DnsSettings
from issuer.model.enrolment import Enrolment, Validation
from issuer.model.errors import DnsError
from issuer.rules.egress import Needs
from issuer.rules.findings import Findings

_QUIET_SECONDS = 30.0  # a silent server gets no further withdrawal for so long: there may be hundreds


class Zones(DynamicZones):
    """The dynamic zones as a :class:`issuer.journey.solver.CheckableSolver`. Thread-safe."""

    type = Dns01()

    def __init__(self, settings: DnsSettings, *, port: int = DNS_PORT, update_seconds: float = UPDATE_SECONDS):
        super().__init__(settings, port=port, update_seconds=update_seconds)
        self.patience = settings.propagation_timeout
        self._query_logs = settings.query_logs
        self._silence: Silence[Server, DnsError] = Silence(_QUIET_SECONDS)

    def files(self) -> list[tuple[str, Path | None, Callable[[Path], object]]]:
        """The TSIG key file of every route and the query logs, with their loaders."""
        keys = dict.fromkeys(each.tsig_key_file for each in self._routes)
        return [
            *(("TSIG key", file, load_tsig_key) for file in keys),
            *(("query log", Path(log), readable("name server")) for log in self._query_logs),
        ]

    def too_late(self, laggards: Sequence[Laggard]) -> DnsError:
        what = f"the challenge was not visible everywhere within {duration_text(self.patience)}"
        hint = "start the servers that do not answer, or open port 53 to them; for the others look at NOTIFY and zone "
        hint += "transfer, or at nameservers in [dns]"
        return DnsError(what, why="; ".join(map(str, laggards)), hint=hint, reference="dns-not-visible")

    @property
    def propagation(self) -> dict[str, float]:
        """The seconds from the latest UPDATE until a name server showed the values, by name server."""
        return dict(self.visibility.propagation)

    def place(self, name: str, row: Enrolment) -> tuple[str, str]:
        """Looks up the zone's servers too, so that a broken delegation is found before an order is opened."""
        place = self.locate(name)
        self.servers(place.owner, place.zone)
        return place.owner, place.zone

    def examine(
        self, subject: str, names: Sequence[str], validation: Validation, authorities: Sequence[CaIdentity]
    ) -> Findings:
        """The findings of `check`: names on wildcards, names without a place, and a test record in each zone."""
        return examine(self, names)

    def needs(self, names: Sequence[str], validations: Sequence[Validation]) -> Needs:
        return needs_of_zones(names, self)

    def publish(self, entries: Sequence[Challenge]) -> None:
        """Add every value, with one UPDATE for each zone. Raises DnsError."""
        for (zone, route), values in self._by_zone(entries).items():
            self.add(zone, route, values)

    def withdraw(self, entries: Sequence[Challenge]) -> None:
        for (zone, route), values in self._by_zone(entries).items():
            try:
                self._refuse_foreign([entry for entry in entries if entry.zone == zone])
                self._take_back(zone, route, values)
            except DnsError as error:
                # a server that refuses our updates never took the value, so nothing is left there
                if error.retry is Retry.SOON or not self._absent(route, values):
                    raise

    def keeper(self, entry: Challenge) -> str:
        """The name server that takes the updates for *entry*, as "server port"."""
        route = route_for(entry.owner, self._routes)
        return f"{route.server} {route.port}"

    def unseen(self, entries: Sequence[Challenge]) -> list[Laggard]:
        wanted: dict[tuple[str, str], set[str]] = defaultdict(set)
        for entry in entries:
            wanted[entry.owner, entry.zone].add(entry.value)
        sought = [
            Sought(owner, zone, frozenset(values), tuple(self.servers(owner, zone)))
            for (owner, zone), values in wanted.items()
        ]
        return self.visibility.unseen(sought)

    def asked(self, entries: Sequence[Challenge], since: float) -> Asked | None:
        """The questions about these records, or the aliases that lead to them, in the query logs."""
        owners = {entry.identifier: [sub_zone(entry.identifier), entry.owner] for entry in entries}
        return asked_in(self._query_logs, owners, since)

    def _take_back(self, zone: str, route: Route, values: Sequence[TxtValue]) -> None:
        """Delete *values*, but fail at once soon after silence: a dead server costs its time limit once, not for every
        zone. Raises DnsError."""
        server = self.primary(route)
        if (error := self._silence.of(server)) is not None:
            raise error
        try:
            self.remove(zone, route, values)
        except DnsError as failed:
            if isinstance(failed.__cause__, TimeoutError):
                self._silence.begins(server, failed)
            raise

    def _refuse_foreign(self, entries: Sequence[Challenge]) -> None:
        """Raise DnsError for an owner that no challenge has: whoever writes to the journal must not choose which TXT
        records we delete. Only an alias leads to another owner than _acme-challenge…, so that is looked up again."""
        for entry in entries:
            if not entry.owner.startswith(sub_zone("")) and self._reached(entry.identifier) != entry.owner:
                what = f"the journal names a TXT record at {entry.owner}, which is not ours"
                why = f"no alias leads there from the challenge of {entry.identifier}"
                hint = f"if nobody needs {entry.value!r}, delete it there by hand: then its row is forgotten"
                raise DnsError(what, why=why, hint=hint, retry=Retry.NEVER)

    def _reached(self, identifier: str) -> str:
        """The owner of the challenge of *identifier*, "" without one. Raises DnsError where that cannot be told now."""
        try:
            return self.locate(parse_dns_name(identifier)).owner
        except ValueError:
            return ""
        except CertfleetError as error:
            if error.retry is Retry.SOON:
                raise
            return ""

    def _absent(self, route: Route, values: Sequence[TxtValue]) -> bool:
        """Does the primary answer with authority, and without any of *values*?"""
        try:
            answers = [(ask(self.primary(route), question(owner, "TXT")), value) for owner, value in values]
        except NoAnswer:
            return False
        return all(is_authoritative(answer) and value not in shown_txt(answer) for answer, value in answers)

    def _by_zone(self, entries: Sequence[Challenge]) -> dict[tuple[str, Route], list[TxtValue]]:
        zones: dict[tuple[str, Route], list[TxtValue]] = defaultdict(list)
        for entry in entries:
            zones[entry.zone, route_for(entry.owner, self._routes)].append((entry.owner, entry.value))
        return zones
