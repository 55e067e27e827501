"""All reading of DNS that finds things: the zone a name is in, and every address of every server of a zone."""

import socket
import threading
from collections.abc import Sequence

import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
import structlog

from common.errors import Retry
from issuer.dns.servers import NoAnswer, Server, ask, is_authoritative, parse_server, question, rcode_text
from issuer.errors import DnsError

log = structlog.get_logger()
_RESOLVER_SECONDS = 4.0


def zone_at(server: Server, name: str) -> str:
    """The zone that *server* holds *name* in, by its authoritative SOA; DnsError when it holds none.

    A negative answer carries the zone's SOA (RFC 2308 §3), so this is one question as a rule; labels are walked up only
    where a server sends none. Only an SOA with authority counts: a referral or a wildcard's answer proves nothing.
    """
    full = dns.name.from_text(name)
    candidate = full
    while candidate != dns.name.root:
        try:
            answer = ask(server, question(candidate.to_text(), "SOA"))
        except NoAnswer as error:
            hint = "check that the name server runs and that server and port in [dns] are right"
            raise DnsError(
                f"the name server {server} cannot be asked", why=str(error), hint=hint, retry=Retry.SOON
            ) from error
        if is_authoritative(answer):
            for rrset in (*answer.answer, *answer.authority):
                if rrset.rdtype == dns.rdatatype.SOA and full.is_subdomain(rrset.name):
                    return str(rrset.name.to_text(omit_final_dot=True)).lower()
        candidate = candidate.parent()
    what = f"the name server {server} serves no zone that {name} is in"
    why = f"its last answer was {rcode_text(answer)} without authority"
    raise DnsError(
        what, why=why, hint=f"create the sub-zone there (`zone` prints it), or add a [[dns.zone]] for {name}"
    )


class Delegations:
    """Every address of every authoritative server of a zone, looked up through the recursive resolvers once a run."""

    def __init__(self, resolvers: Sequence[str]):
        self._resolver = _resolver(resolvers)
        self._known: dict[str, list[Server]] = {}
        self._silent = False
        self._lock = threading.Lock()

    def servers(self, zone: str, primary: Server) -> list[Server]:
        """The servers of *zone*. When no resolver answers at all, what *primary* itself lists, with a warning."""
        with self._lock:
            if zone not in self._known:
                self._known[zone] = self._look_up(zone, primary)
            return self._known[zone]

    def _look_up(self, zone: str, primary: Server) -> list[Server]:
        names = None if self._silent else self._resolved(zone, "NS")
        if names is None:
            return self._listed_by(primary, zone)
        if not names:
            why = "the resolvers find no NS record for it"
            hint = "add the delegation to the parent zone (`zone` prints the lines), or set nameservers in [dns]"
            raise DnsError(f"the zone {zone} is not delegated", why=why, hint=hint)
        servers = [server for name in names for server in self._addresses(name)]
        if not servers:
            why = f"none of its name servers {', '.join(names)} has an address"
            raise DnsError(f"the delegation of {zone} is broken", why=why, hint="add address records for them")
        return servers

    def _addresses(self, name: str) -> list[Server]:
        found = [*(self._resolved(name, "A") or []), *(self._resolved(name, "AAAA") or [])]
        return [Server(address, 53, name) for address in found]

    def _resolved(self, name: str, kind: str) -> list[str] | None:
        """Record texts; [] when there are none; None when no resolver answers."""
        try:
            answer = self._resolver.resolve(
                dns.name.from_text(name), kind, raise_on_no_answer=False, lifetime=_RESOLVER_SECONDS
            )
        except dns.resolver.NXDOMAIN:
            return []
        except (dns.exception.DNSException, OSError) as error:
            log.warning("resolver.silent", name=name, kind=kind, error=str(error))
            self._silent = True
            return None
        return [record.to_text().removesuffix(".") for record in answer.rrset or ()]

    def _listed_by(self, primary: Server, zone: str) -> list[Server]:
        log.warning("delegation.unverified", zone=zone, asked=str(primary))
        servers: list[Server] = []
        for name in self._records(primary, zone, "NS"):
            for kind in ("A", "AAAA"):
                for address in self._records(primary, name.removesuffix("."), kind):
                    # the primary itself may listen on another port than 53; the other servers cannot
                    port = primary.port if address == primary.address else 53
                    servers.append(Server(address, port, name.removesuffix(".")))
        return servers or [primary]

    @staticmethod
    def _records(server: Server, name: str, kind: str) -> list[str]:
        try:
            answer = ask(server, question(name, kind))
        except NoAnswer:
            return []
        wanted = dns.rdatatype.from_text(kind)
        return [record.to_text() for rrset in answer.answer if rrset.rdtype == wanted for record in rrset]


def _resolver(configured: Sequence[str]) -> dns.resolver.Resolver:
    if not configured:
        try:
            return dns.resolver.Resolver()
        except dns.resolver.NoResolverConfiguration:
            return dns.resolver.Resolver(configure=False)
    resolver = dns.resolver.Resolver(configure=False)
    servers = [server for text in configured for server in parse_server(text)]
    resolver.nameservers = [dns.nameserver.Do53Nameserver(server.address, server.port) for server in servers]
    return resolver


def has_route(server: Server) -> bool:
    """Can this machine send to that address family at all? Sends nothing."""
    family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((server.address, server.port))
        except OSError:
            return False
    return True
