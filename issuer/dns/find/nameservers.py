"""The name servers in a zone's NS records today, for those that a new sub-zone needs."""

import dataclasses

import dns.tsig

from issuer.dns.asking import NoAnswer, ask
from issuer.dns.find.locate import zone_at
from issuer.dns.find.resolvers import Resolvers
from issuer.dns.find.routes import Route
from issuer.dns.servers import Server, configured_servers, is_authoritative, plain, question, rrset_in, soa_in, targets
from issuer.model.errors import DnsError


def nameserver_names(route: Route, name: str, resolvers: Resolvers, signer: dns.tsig.Key | None) -> list[str]:
    """The NS host names of the zone that holds *name* today, asked at the update server with the key *signer*, if any;
    [] if it does not say.

    The primary is the first: the host with the update server's address, else the MNAME of the zone's SOA. The others
    are sorted, so that the output does not change from call to call.
    """
    if not route.server:
        return []
    primary = dataclasses.replace(configured_servers("server", [route.server], route.port)[0], key=signer)
    try:
        zone = zone_at(primary, name.removeprefix("*."))
        hosts = sorted(targets(rrset_in(ask(primary, question(zone, "NS")).answer, "NS", zone)))
        soa = soa_in(ask(primary, question(zone, "SOA")), zone)
    except (DnsError, NoAnswer):
        return []
    told = plain(soa[0].mname) if soa is not None else ""
    here = [host for host in hosts if primary.address in _addresses(host, primary, resolvers)]
    return list(dict.fromkeys([*here[:1], *([told] if not here and told in hosts else []), *hosts]))


def _addresses(host: str, primary: Server, resolvers: Resolvers) -> list[str]:
    """Addresses of *host* in the family of *primary*: by *primary* if it is authoritative, else by the resolvers."""
    kind = "AAAA" if primary.ipv6 else "A"
    try:
        answer = ask(primary, question(host, kind))
        return targets(rrset_in((answer if is_authoritative(answer) else resolvers.ask(host, kind)).answer, kind))
    except NoAnswer:
        return []
