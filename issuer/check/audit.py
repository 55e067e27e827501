"""The part of the audit that asks DNS: where do the names of a certificate lead, and may our CA issue for them?"""

import time
from collections.abc import Callable, Collection, Sequence

from common.names import is_address
from issuer.check.from_root import ways, zone_lines, zones_on
from issuer.check.names import caa_lines
from issuer.dns.asking import NoAnswer
from issuer.dns.find.from_root import FromRoot
from issuer.dns.find.resolvers import Resolvers
from issuer.journey.solver import ChallengeType, looked_up
from issuer.model.acme import CaIdentity
from issuer.model.audit import Finding, Kind
from issuer.model.enrolment import Enrolment, Validation
from issuer.model.errors import DnsError
from issuer.model.hosts import Standing
from issuer.model.leaf import Leaf
from issuer.rules.audit import of_lines, of_names
from issuer.rules.change import shares

_HOSTS_SECONDS = 600.0  # in which the names of hosts are looked up, all lookups together


class Surroundings:
    """Thread-safe. *identities*: the CAs as DNS records name them, without those that cannot be asked. *type_of*: the
    challenge type of a name's validation; None where none fits it. *walk*: None where nothing is asked from the
    root."""

    def __init__(
        self,
        resolvers: Resolvers,
        identities: Sequence[CaIdentity],
        type_of: Callable[[Validation], ChallengeType | None],
        walk: FromRoot | None,
    ):
        self._resolvers = resolvers
        self._identities = identities
        self._type_of = type_of
        self._walk = walk
        self._by_host: dict[str, Collection[str] | str] = {}
        self._left = _HOSTS_SECONDS

    def findings(self, row: Enrolment, standings: Sequence[Standing]) -> list[Finding]:
        """Findings about the names of *row* in DNS. *standings*: its hosts that serve the present certificate or an
        older one."""
        leaf = row.present
        names = [name for name in leaf.names if not _has_no_address(name)] if isinstance(leaf, Leaf) else []
        addresses = {name: self._addresses(name) for name in sorted(names)}
        found = of_names(row, addresses, self._of_hosts({one.report.host for one in standings}) if names else {})
        return found if row.imported and row.change is None else found + self._of_the_ca(row)

    def _of_the_ca(self, row: Enrolment) -> list[Finding]:
        """Findings by the two looks of a CA that validates the names: DNS from the root downwards, and CAA."""
        found = []
        for validation, names in shares(row):
            if (kind := self._type_of(validation)) is not None:
                zones = zones_on(ways(self._walk, (each for name in names for each in looked_up(kind, name))))
                found += of_lines(row, Kind.DELEGATION, [line for zone in zones for line in zone_lines(zone)])
                found += of_lines(row, Kind.CAA, caa_lines(self._resolvers, names, kind.name, self._identities))
        return found

    def _of_hosts(self, hosts: Collection[str]) -> dict[str, Collection[str]]:
        """The addresses of each of *hosts*; none at all where one is not known. Other machines write these names, any
        number of them, in zones that may be slow."""
        found = {}
        for host in hosts:
            if host not in self._by_host:
                if self._left <= 0:
                    return {}
                began = time.monotonic()
                self._by_host[host] = self._addresses(host)
                self._left -= time.monotonic() - began
            some = self._by_host[host]
            if isinstance(some, str):
                return {}
            found[host] = some
        return found

    def _addresses(self, name: str) -> Collection[str] | str:
        try:
            return self._resolvers.addresses(name, every=True)
        except (NoAnswer, DnsError) as error:  # DnsError: it is no name at all, such as an agent may call its host
            return str(error)


def _has_no_address(name: str) -> bool:
    """Is it an address itself, or a wildcard?"""
    return is_address(name) or name.startswith("*.")
