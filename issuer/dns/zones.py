"""The dynamic sub-zones as the journeys see them: locate, publish, see, withdraw."""

import base64
import hashlib
import threading
from collections import defaultdict
from collections.abc import Sequence

import dns.rdatatype
import dns.tsig
import structlog

from common.errors import ConfigError, Finding
from issuer.config import DnsSettings
from issuer.dns.lookup import Delegations, has_route, zone_at
from issuer.dns.routes import Route, route_for, routes
from issuer.dns.servers import NoAnswer, Server, ask, parse_server, question
from issuer.dns.tsig import load_tsig_key
from issuer.dns.update import TxtValue, change_txt
from issuer.dns.visibility import missing_txt
from issuer.errors import DnsError
from issuer.model import Challenge, Enrolment

log = structlog.get_logger()


class Zones:
    """Thread-safe. Keys are read once, zones and delegations are looked up once a run."""

    def __init__(self, settings: DnsSettings):
        self._routes = routes(settings)
        self._keys: dict[str, dns.tsig.Key] = {}
        self._delegations = Delegations(settings.resolvers)
        self._zones: dict[str, str] = {}
        self._lock = threading.Lock()

    def place(self, name: str, row: Enrolment) -> tuple[str, str]:
        """(owner of the TXT record, zone to update) for the challenge of *name*. Raises DnsError, ConfigError."""
        owner = f"_acme-challenge.{name.removeprefix('*.')}"
        with self._lock:
            known = self._zones.get(owner)
        if known is not None:
            return owner, known
        route = route_for(owner, self._routes)
        self._key(route)
        zone = zone_at(self._primary(route), owner)
        if route.suffix and not (f".{zone}".endswith(f".{route.suffix}") or f".{route.suffix}".endswith(f".{zone}")):
            raise DnsError(f"{owner} is in the zone {zone}", why=f"that is outside the [[dns.zone]] {route.suffix}")
        with self._lock:
            self._zones[owner] = zone
        return owner, zone

    def content(self, key_authorization: str) -> str:
        """The TXT value (RFC 8555 §8.4)."""
        digest = hashlib.sha256(key_authorization.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def publish(self, entries: Sequence[Challenge]) -> None:
        """Add every value: one UPDATE a zone. Raises DnsError."""
        for (zone, route), values in self._by_zone(entries).items():
            change_txt(self._primary(route), zone, self._key(route), add=values)

    def withdraw(self, entries: Sequence[Challenge]) -> None:
        """Delete exactly these values, whether they are there or not. Raises DnsError."""
        for (zone, route), values in self._by_zone(entries).items():
            change_txt(self._primary(route), zone, self._key(route), delete=values)

    def unseen(self, entries: Sequence[Challenge]) -> list[str]:
        """A verdict for every authoritative server that does not show its values yet; [] when all do."""
        verdicts: list[str] = []
        values: dict[tuple[str, str], set[str]] = defaultdict(set)
        for entry in entries:
            values[entry.owner, entry.zone].add(entry.value)
        for (owner, zone), wanted in values.items():
            verdicts += self._unseen_at(owner, zone, wanted)
        return verdicts

    def _by_zone(self, entries: Sequence[Challenge]) -> dict[tuple[str, Route], list[TxtValue]]:
        zones: dict[tuple[str, Route], list[TxtValue]] = defaultdict(list)
        for entry in entries:
            zones[entry.zone, route_for(entry.owner, self._routes)].append((entry.owner, entry.value))
        return zones

    def _unseen_at(self, owner: str, zone: str, wanted: set[str]) -> list[str]:
        verdicts, without_route = [], []
        servers = self._servers(owner, zone)
        for server in servers:
            if not has_route(server):
                without_route.append(server)
                continue
            try:
                verdict = missing_txt(server, owner, wanted)
            except NoAnswer as error:
                verdict = str(error)
            if verdict:
                verdicts.append(f"{server}: {verdict}")
        if without_route:
            # an address family that this machine lacks cannot be checked from here; the others decide
            log.warning("nameserver.no_route", zone=zone, servers=[str(server) for server in without_route])
            if len(without_route) == len(servers):
                verdicts.append(f"{zone}: this machine has no route to any of its name servers")
        return verdicts

    def _servers(self, owner: str, zone: str) -> list[Server]:
        route = route_for(owner, self._routes)
        if route.nameservers:
            return [server for text in route.nameservers for server in _parsed("nameservers", text)]
        return self._delegations.servers(zone, self._primary(route))

    def _primary(self, route: Route) -> Server:
        if not route.server:
            problem = "is missing: the address of the name server that takes the updates"
            raise ConfigError("configuration", [Finding("dns.server", problem)])
        return _parsed("server", route.server, route.port)[0]

    def _key(self, route: Route) -> dns.tsig.Key:
        if route.tsig_key_file is None:
            problem = "is missing: the file with the TSIG key, as `tsig-keygen` writes it"
            raise ConfigError("configuration", [Finding("dns.tsig_key_file", problem)])
        name = str(route.tsig_key_file)
        with self._lock:
            if name not in self._keys:
                self._keys[name] = load_tsig_key(route.tsig_key_file)
            return self._keys[name]


def _parsed(key: str, text: str, port: int = 53) -> list[Server]:
    try:
        return parse_server(text, port)
    except ValueError as error:
        raise ConfigError("configuration", [Finding(f"dns.{key}", str(error))]) from error


def nameserver_names(route: Route, name: str) -> list[str]:
    """Host names of the servers of the zone that *name* is in today, as the update server lists them; [] if unknown."""
    if not route.server:
        return []
    primary = _parsed("server", route.server, route.port)[0]
    try:
        zone = zone_at(primary, name.removeprefix("*."))
        answer = ask(primary, question(zone, "NS"))
    except (DnsError, NoAnswer):
        return []
    return [
        record.to_text().removesuffix(".").lower()
        for rrset in answer.answer
        if rrset.rdtype == dns.rdatatype.NS
        for record in rrset
    ]
