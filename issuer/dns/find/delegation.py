"""Every address of every authoritative server of a zone, by the parent's delegation and by the zone's own NS records.

The parent's servers are asked for the referral (RFC 1034 §4.3.2) and its glue, because the CA's resolver follows it.
The zone's own NS records are added: resolvers may use either (RFC 2181 §5.4.1).
"""

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import dns.message
import dns.name
import dns.rrset
import structlog

from issuer.dns.asking import NoAnswer, ask, ask_each
from issuer.dns.find.locate import soa_owner
from issuer.dns.find.resolvers import Resolvers
from issuer.dns.servers import (
    DNS_PORT,
    ROOT,
    Server,
    addresses_in,
    denies,
    is_authoritative,
    plain,
    question,
    rcode_text,
    rrset_in,
    targets,
)
from issuer.ground.ttl_cache import TtlCache
from issuer.model.errors import DnsError

log = structlog.get_logger()
KEEP_SECONDS = 300
_MOST_ASKED = 16  # servers of the parent, of which each knows the delegation
# Each of the zone's own has to be asked, so more than these is an error: leaving some out would prove nothing. The root
# has 13 names and 26 addresses; a hostile zone can have thousands of both, and hold up its order for hours.
_MOST_NAMES, _MOST_ADDRESSES = 32, 128


@dataclass(frozen=True, slots=True)
class Delegation:
    """The delegation of *zone*. *parent* is "" when no resolver answers: then only the zone's own NS records are known.

    *named*: NS hosts by the parent's servers. *listed*: NS hosts by the zone itself. *glue*: addresses that the parent
    gives with them. *seen*: did a server of the parent answer? *inner*: do only this machine's resolvers know the zone?
    """

    zone: str
    parent: str
    named: tuple[str, ...]
    listed: tuple[str, ...]
    glue: tuple[Server, ...]
    servers: tuple[Server, ...]
    seen: bool = False
    inner: bool = False


class Delegations:
    """Thread-safe; each zone is cached for five minutes, unless no resolver answered. *port*: that of the servers in a
    delegation."""

    def __init__(self, resolvers: Resolvers, port: int = DNS_PORT):
        self._resolvers = resolvers
        self._port = port
        self._delegations: TtlCache[str, Delegation] = TtlCache(KEEP_SECONDS)
        self._unverified: TtlCache[str, bool] = TtlCache(KEEP_SECONDS)  # the zones of which people were told
        self._zones: TtlCache[str, str] = TtlCache(KEEP_SECONDS)  # that a name is in
        self._parents: TtlCache[str, list[Server]] = TtlCache(KEEP_SECONDS)
        self._hosts: TtlCache[str, list[Server]] = TtlCache(KEEP_SECONDS)
        self._shown: TtlCache[tuple[object, ...], tuple[list[str]]] = TtlCache(KEEP_SECONDS)

    def servers(self, zone: str, primary: Server) -> Sequence[Server]:
        """The servers of *zone*; without any resolver, the ones that *primary* lists. Raises DnsError when *zone* is
        not delegated."""
        return self.of(zone, primary).servers

    def of(self, zone: str, primary: Server) -> Delegation:
        """The delegation of *zone*, which *primary* serves. Its servers are asked with the key of *primary*. Raises
        DnsError."""
        return self._delegations.get(zone, lambda: self._look_up(zone, primary), lambda found: found.parent)

    def _look_up(self, zone: str, primary: Server) -> Delegation:
        listed = targets(_own(primary, zone, "NS"))
        _refuse_too_many(zone, listed, "names", _MOST_NAMES)
        try:
            parent = self._zone_above(zone)
        except NoAnswer as error:
            self._tell_unverified(zone, primary, error)
            return Delegation(zone, "", (), tuple(listed), (), tuple(self._listed_by(zone, primary, listed)))
        named, glue, seen = self._referral(zone, parent, primary)
        inner = not named
        if inner:
            # split horizon: an inner view may have a zone that the outer parent does not delegate
            named = self._names(zone)
            event = "delegation.not_in_parent" if seen else "delegation.parent_silent"
            log.warning(event, zone=zone, parent=parent, resolvers_say=named)
        if not named:
            why = f"neither the servers of {parent} nor the resolvers know a name server for it"
            hint = "add the delegation to the parent zone (`zone` prints the lines), or set nameservers in [dns]"
            raise DnsError(f"the zone {zone} is not delegated", why=why, hint=hint, reference="dns-not-delegated")
        names = list(dict.fromkeys([*named, *listed]))
        _refuse_too_many(zone, names, "names", _MOST_NAMES)
        servers = list(dict.fromkeys([*glue, *(server for name in names for server in self.addresses(name))]))
        _refuse_too_many(zone, servers, "addresses", _MOST_ADDRESSES)
        if not servers:
            why = f"none of its name servers {', '.join(names)} has an address"
            raise DnsError(f"the delegation of {zone} is broken", why=why, hint="add address records for them")
        asked = tuple(dataclasses.replace(server, key=primary.key) for server in servers)
        return Delegation(zone, parent, tuple(named), tuple(listed), tuple(glue), asked, seen, inner)

    def _tell_unverified(self, zone: str, primary: Server, why: NoAnswer) -> None:
        def tell() -> bool:
            log.warning("delegation.unverified", zone=zone, asked=str(primary), why=str(why))
            return True

        self._unverified.get(zone, tell)

    def parent_servers(self, zone: str) -> list[Server]:
        """The servers of the parent of *zone*, which are asked for its delegation. Raises NoAnswer."""
        parent = self._zone_above(zone)
        return self._parents.get(parent, lambda: self._parent_servers(parent))

    def _zone_above(self, zone: str) -> str:
        """The parent of *zone*, by the SOA that the resolvers show above it. Raises NoAnswer."""
        above = dns.name.from_text(zone)
        while above != dns.name.root:
            above = above.parent()
            name = plain(above)
            found = self._zones.get(name, functools.partial(self._zone_by_soa, name))
            if found:
                return found
        return ROOT

    def _zone_by_soa(self, name: str) -> str:
        return soa_owner(self._resolvers.ask(name, "SOA"), name)

    def _referral(self, zone: str, parent: str, primary: Server) -> tuple[list[str], list[Server], bool]:
        """(NS hosts, glue, whether a server of the parent answered), merged from all servers of *parent*.

        The key goes to *primary* alone: the parent's other servers may belong to others.
        """
        servers = self._parents.get(parent, lambda: self._parent_servers(parent))
        here = (primary.address, primary.port)
        asked = [primary if (server.address, server.port) == here else server for server in servers]
        heard = ask_each(asked, question(zone, "NS")).values()
        answers = [item for item in heard if not isinstance(item, NoAnswer)]
        names: dict[str, None] = {}
        glue: dict[Server, None] = {}
        for answer in answers:
            # a server with both parent and child answers with the child's own NS records
            section = answer.answer if is_authoritative(answer) else answer.authority
            found = targets(rrset_in(section, "NS", zone))
            names |= dict.fromkeys(found)
            glue |= dict.fromkeys(self._glue(answer, found))
        return list(names), list(glue), any(names or denies(answer) for answer in answers)

    def _glue(self, answer: dns.message.Message, names: Sequence[str]) -> list[Server]:
        return [
            Server(address, self._port, name) for name in names for address in addresses_in(answer.additional, name)
        ]

    def _parent_servers(self, parent: str) -> list[Server]:
        found = (server for name in self._names(parent)[:_MOST_NAMES] for server in self.addresses(name))
        return list(itertools.islice(found, _MOST_ASKED))

    def _names(self, zone: str) -> list[str]:
        try:
            return targets(rrset_in(self._resolvers.ask(zone, "NS").answer, "NS", zone))
        except NoAnswer:
            return []

    def addresses(self, host: str) -> list[Server]:
        """Every A and AAAA address of a name server, by the resolvers; [] when they know none."""
        return self._hosts.get(host, lambda: self._resolved(host))

    def _resolved(self, host: str) -> list[Server]:
        found = []
        for kind in ("A", "AAAA"):
            try:
                # the host may be an alias, against RFC 2181 §10.3: the address at the end of the chain is used
                addresses = targets(rrset_in(self._resolvers.ask(host, kind).answer, kind))
            except NoAnswer:
                continue
            found += [Server(address, self._port, host) for address in addresses]
        return found

    def _listed_by(self, zone: str, primary: Server, names: Sequence[str]) -> list[Server]:
        servers = []
        for name in names:
            for kind in ("A", "AAAA"):
                for address in self._shown_by(primary, name, kind):
                    # the primary itself may listen on another port; the other servers cannot
                    port = primary.port if address == primary.address else self._port
                    servers.append(Server(address, port, name, primary.key))
        _refuse_too_many(zone, servers, "addresses", _MOST_ADDRESSES)
        return servers or [primary]

    def _shown_by(self, primary: Server, host: str, kind: str) -> list[str]:
        """The addresses of *host* that *primary* itself shows; [] when it does not answer. Many zones have the same
        hosts, so their addresses are kept as the delegations are. BIND may choose the view by the key."""
        key = primary.key.name if primary.key is not None else None

        def look_up() -> tuple[list[str]]:
            answer = ask(primary, question(host, kind))
            if not (answer.answer or denies(answer)):
                raise NoAnswer(rcode_text(answer))
            return (targets(rrset_in(answer.answer, kind, host)),)

        try:
            return self._shown.get((primary, key, host, kind), look_up)[0]
        except NoAnswer:
            return []


def _refuse_too_many(zone: str, found: Sequence[object], kind: str, most: int) -> None:
    """Raises DnsError."""
    if len(found) > most:
        what = f"the name servers of {zone} have {len(found)} {kind}, and more than {most} are not asked"
        hint = f"list fewer NS records in {zone} and above it, or set nameservers in [dns] to those that count"
        raise DnsError(what, hint=hint, reference="dns-too-many-servers")


def _own(server: Server, name: str, kind: str) -> list[dns.rrset.RRset]:
    """The records that *server* itself shows; [] when it does not answer."""
    try:
        return rrset_in(ask(server, question(name, kind)).answer, kind, name)
    except NoAnswer:
        return []
