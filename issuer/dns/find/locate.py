"""Where a challenge record really goes: aliases followed, then the zone by its SOA, at the server that takes updates.

The server that takes the updates is asked first, since a hidden primary knows best; the recursive resolvers only about
names that it is not authoritative for. The zone is never guessed from resolvers: only an SOA with authority counts.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import dns.exception
import dns.message
import dns.name

from common.errors import Retry
from issuer.dns.asking import NoAnswer, ask
from issuer.dns.find.resolvers import Resolvers
from issuer.dns.find.routes import Route, route_for
from issuer.dns.servers import ROOT, Server, is_authoritative, plain, question, rcode_text, rrset_in, targets
from issuer.model.errors import DnsError

_MOST_ALIASES = 8  # as many as BIND and Unbound follow without complaint


@dataclass(frozen=True, slots=True)
class Place:
    """The TXT record's owner after all aliases, the zone that holds it, and how that zone is reached."""

    owner: str
    zone: str
    route: Route
    aliases: tuple[str, ...] = ()  # the names that were followed, the first one asked for first

    @property
    def meant(self) -> bool:
        """Has somebody chosen that zone for challenges: as a sub-zone of its own, by an alias, or by a [[dns.zone]]?"""
        return self.owner == self.zone or bool(self.aliases) or self.route.suffix == self.zone


def locate(name: str, table: Sequence[Route], primary: Callable[[Route], Server], resolvers: Resolvers) -> Place:
    """The place of the challenge record whose name is *name*. *primary* raises ConfigError for a route without a
    server; names there may still be aliases. Raises DnsError."""
    seen = [name]
    while True:
        owner = seen[-1]
        route = route_for(owner, table)
        found = _ask_primary(primary(route), owner) if route.server else Elsewhere("")
        if isinstance(found, Zone):
            _refuse_outside(owner, found.name, route)
            return Place(owner, found.name, route, tuple(seen[:-1]))
        if isinstance(found, Alias):
            target = found.target
        else:
            target, unseen = _alias_by_resolvers(owner, resolvers)
            if not target:
                raise _no_zone(primary(route), owner, f"{found.why}; {unseen}")
        seen.append(target)
        if target in seen[:-1]:
            raise DnsError(
                f"the alias of {name} leads in a circle", why=" → ".join(seen), hint="mend these CNAME records"
            )
        if len(seen) > _MOST_ALIASES + 1:
            hint = "let the first CNAME point at the last name directly"
            raise DnsError(
                f"the alias of {name} is a chain of more than {_MOST_ALIASES}", why=" → ".join(seen), hint=hint
            )


@dataclass(frozen=True, slots=True)
class Zone:
    """The server is authoritative for this zone, and the name asked for is no alias."""

    name: str


@dataclass(frozen=True, slots=True)
class Alias:
    """The name asked for is another name for this one."""

    target: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The server is not authoritative for the name asked for."""

    why: str


def _ask_primary(server: Server, owner: str) -> Zone | Alias | Elsewhere:
    """What the update server says of *owner*. Raises DnsError.

    The question is for the CNAME itself: a negative answer carries the SOA of the zone, so one answer says both.
    """
    answer = _ask(server, owner, "CNAME")
    if not is_authoritative(answer):
        return Elsewhere(_referral(owner, answer) or f"it answers {rcode_text(answer)} without authority")
    target = alias_in(answer, owner)
    if target and not _from_wildcard(server, owner, target):
        return Alias(target)
    zone = "" if target else soa_owner(answer, owner)
    if zone == ROOT:  # a server that answers for everything knows nothing of this name
        return Elsewhere("the only zone there that it is in is the root")
    return Zone(zone or zone_at(server, owner))


def _alias_by_resolvers(owner: str, resolvers: Resolvers) -> tuple[str, str]:
    """The alias that the world sees at a name which no update server holds, else "" and why there is none."""
    try:
        return alias_in(resolvers.ask(owner, "CNAME"), owner), "and it is no alias (CNAME, DNAME) for a name elsewhere"
    except NoAnswer as error:
        return "", f"whether it is an alias cannot be seen either ({error})"


def alias_in(answer: dns.message.Message, owner: str) -> str:
    """The name that *owner* is an alias for; "" when it is none. For a DNAME above it servers make a CNAME (RFC 6672
    §3.1)."""
    return next((targets([rrset])[0] for rrset in rrset_in(answer.answer, "CNAME", owner)), "")


def soa_owner(answer: dns.message.Message, name: str) -> str:
    """The zone that *name* is in, by an SOA of the answer; "" when there is none or it is another zone's."""
    full = dns.name.from_text(name)
    for rrset in rrset_in([*answer.answer, *answer.authority], "SOA"):
        if full.is_subdomain(rrset.name):
            return plain(rrset.name)
    return ""


def zone_at(server: Server, name: str) -> str:
    """The zone that *server* holds *name* in, by its authoritative SOA; DnsError when it holds none.

    A negative answer carries the zone's SOA (RFC 2308 §3), so this is one question as a rule; labels are walked up only
    where a server sends none. Only an SOA with authority counts: a referral or a wildcard's answer proves nothing.
    """
    candidate = dns.name.from_text(name)
    why = ""
    while candidate != dns.name.root:
        answer = _ask(server, plain(candidate), "SOA")
        zone = soa_owner(answer, name) if is_authoritative(answer) else ""
        if zone and zone != ROOT:
            return zone
        why = _referral(name, answer) or f"it answers {rcode_text(answer)} without such a zone"
        candidate = dns.name.root if _referral(name, answer) else candidate.parent()
    raise _no_zone(server, name, why)


def _from_wildcard(server: Server, owner: str, target: str) -> bool:
    """Was that alias made from a wildcard above? Then a TXT record of our own at *owner* simply replaces it."""
    sibling = f"_certfleet-{secrets.token_hex(8)}.{owner.partition('.')[2]}"
    answer = _ask(server, sibling, "CNAME")
    return bool(rrset_in(answer.answer, "CNAME", sibling)) and alias_in(answer, sibling) == target


def _refuse_outside(owner: str, zone: str, route: Route) -> None:
    if not route.allows(zone):
        why = f"that is above the [[dns.zone]] {route.suffix}, which is all that may be written there"
        hint = f"create the sub-zone (`zone` prints it), or name {zone} itself in a [[dns.zone]]"
        raise DnsError(f"{owner} is in the zone {zone}", why=why, hint=hint, reference="dns-outside")


def _referral(owner: str, answer: dns.message.Message) -> str:
    """A server that delegates the name away must not be sent the update: it would write below its own zone cut."""
    full = dns.name.from_text(owner)
    cuts = [
        cut for cut in rrset_in(answer.authority, "NS") if cut.name != dns.name.root and full.is_subdomain(cut.name)
    ]
    if is_authoritative(answer) or not cuts:
        return ""
    return f"it delegates {plain(cuts[0].name)} to {', '.join(targets(cuts))}"


def _no_zone(server: Server, name: str, why: str) -> DnsError:
    hint = f"create the sub-zone there (`zone` prints it), or name the right server for {name} in a [[dns.zone]]"
    what = f"the name server {server} serves no zone that {name} is in"
    return DnsError(what, why=why, hint=hint, reference="dns-no-zone")


def _ask(server: Server, name: str, kind: str) -> dns.message.Message:
    try:
        return ask(server, question(name, kind))
    except NoAnswer as error:
        hint = "check that the name server runs and that server and port in [dns] are right"
        what = f"the name server {server} cannot be asked"
        raise DnsError(what, why=str(error), hint=hint, retry=Retry.SOON) from error
