"""The dynamic zones: which name server takes updates for a name, which servers have to show its record, and each change
of a record.
"""

import dataclasses
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import dns.tsig

from common.errors import ConfigError, Finding
from issuer.dns.dns01 import Dns01, require_records, sub_zone
from issuer.dns.find.delegation import KEEP_SECONDS, Delegations
from issuer.dns.find.locate import Place, locate
from issuer.dns.find.resolvers import Resolvers
from issuer.dns.find.routes import Route, route_for, routes
from issuer.dns.see.visibility import Visibility
from issuer.dns.servers import DNS_PORT, Server, configured_servers, has_route
from issuer.dns.write.tsig import load_tsig_key
from issuer.dns.write.update import UPDATE_SECONDS, TxtValue, change_txt
from issuer.ground.ttl_cache import TtlCache
from issuer.model.config import DnsSettings


class DynamicZones:
    """Thread-safe. Keys are read once; places and delegations are cached for five minutes.

    *port*: the port of the servers in a delegation. *update_seconds*: the time limit of one UPDATE.
    """

    def __init__(self, settings: DnsSettings, *, port: int = DNS_PORT, update_seconds: float = UPDATE_SECONDS):
        self.resolvers = Resolvers(settings.resolvers)
        self.delegations = Delegations(self.resolvers, port)
        self.visibility = Visibility(self.resolvers.configured)
        self._routes = routes(settings)
        self._update_seconds = update_seconds
        self._keys: TtlCache[Path, dns.tsig.Key] = TtlCache(math.inf)
        self._places: TtlCache[str, Place] = TtlCache(KEEP_SECONDS)

    def load_keys(self) -> None:
        """Read every configured TSIG key now. Raises ConfigError."""
        for route in self._routes:
            if route.tsig_key_file is not None:
                self._key(route)

    def locate(self, name: str) -> Place:
        """The place of the challenge of *name*: owner, zone, route and aliases. Raises DnsError, ConfigError, and
        UsageError for a name that can have no record."""
        require_records([name], Dns01.name, sub_zone)
        challenge = sub_zone(name)
        return self._places.get(challenge, lambda: self._locate(challenge))

    def add(self, zone: str, route: Route, values: Sequence[TxtValue]) -> int:
        """Add exactly these values. Returns the name server's clock, in epoch seconds. Raises DnsError."""
        clock = self._change(zone, route, add=values)
        self.visibility.published(values)
        return clock

    def remove(self, zone: str, route: Route, values: Sequence[TxtValue]) -> int:
        """Delete exactly these values. Returns the name server's clock, in epoch seconds. Raises DnsError."""
        self.visibility.withdrawn(values)
        return self._change(zone, route, delete=values)

    def _change(self, zone: str, route: Route, **values: Sequence[TxtValue]) -> int:
        named, seconds = route.suffix == zone, self._update_seconds
        return change_txt(self.primary(route), zone, self._key(route), **values, named=named, seconds=seconds)

    def servers(self, owner: str, zone: str) -> Sequence[Server]:
        """The servers that have to show the values: the configured ones, else the delegation's. Raises DnsError."""
        route = route_for(owner, self._routes)
        if route.nameservers:
            listed = configured_servers("nameservers", route.nameservers)
            return [dataclasses.replace(server, key=self._signer(route)) for server in listed]
        return self.delegations.servers(zone, self.primary(route))

    def primary(self, route: Route) -> Server:
        """The server that takes the updates of *route*, with the key that signs queries to it, if any. Raises
        ConfigError when no server, or no usable key, is configured."""
        if not route.server:
            problem = "is missing: the address of the name server that takes the updates"
            raise ConfigError("configuration", [Finding("dns.server", problem)])
        servers = configured_servers("server", [route.server], route.port)
        server = servers[0]
        if len(servers) > 1:  # on a machine with IPv6 alone, not the IPv4 address
            server = next(filter(has_route, servers), server)
        return dataclasses.replace(server, key=self._signer(route))

    def _locate(self, challenge: str) -> Place:
        place = locate(challenge, self._routes, self.primary, self.resolvers)
        self._key(place.route)
        return place

    def _signer(self, route: Route) -> dns.tsig.Key | None:
        return self._key(route) if route.sign_queries else None

    def _key(self, route: Route) -> dns.tsig.Key:
        if route.tsig_key_file is None:
            problem = "is missing: the file with the TSIG key, as `tsig-keygen` writes it"
            raise ConfigError("configuration", [Finding("dns.tsig_key_file", problem)])
        return self._keys.get(route.tsig_key_file, partial(load_tsig_key, route.tsig_key_file))
