"""The place of a challenge record: follow the aliases, then find the zone by its SOA at the server of the updates.

That server is asked first: a hidden primary knows best. The resolvers are asked only for aliases at names outside its
zones. The zone never comes from a resolver: only an authoritative SOA counts.
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
from issuer.dns.find.routes import Route, below, route_for
from issuer.dns.servers import ROOT, Server, is_authoritative, plain, question, rcode_text, rrset_in, targets
from issuer.model.errors import DnsError

_MOST_ALIASES = 8  # as many as BIND and Unbound follow without complaint


@dataclass(frozen=True, slots=True)
class Place:
    """The owner of the TXT record after all aliases, the zone that holds it, and the route to that zone."""

    owner: str
    zone: str
    route: Route
    aliases: tuple[str, ...] = ()  # in the order in which they were followed

    @property
    def meant(self) -> bool:
        """Did the operator choose that zone for challenges: by a sub-zone, by a zone for the certificate's name alone,
        by an alias or by a [[dns.zone]]?"""
        own = self.zone in (self.owner, self.owner.removeprefix("_acme-challenge."))
        return own or bool(self.aliases) or self.route.suffix == self.zone


def locate(name: str, table: Sequence[Route], primary: Callable[[Route], Server], resolvers: Resolvers) -> Place:
    """The place of the challenge record *name*. Raises DnsError.

    *primary*: the server that takes the updates of a route. It raises ConfigError for a route without one; names there
    may still be aliases.
    """
    seen = [name]
    while True:
        owner = seen[-1]
        route = route_for(owner, table)
        said = _ask_primary(primary(route), owner) if route.server else _Said()
        if said.zone:
            _refuse_outside(owner, said.zone, route)
            return Place(owner, said.zone, route, tuple(seen[:-1]))
        target = said.target
        if not target:
            target, unseen = _alias_by_resolvers(owner, resolvers)
            if not target:
                raise _no_zone(primary(route), owner, f"{said.why}; {unseen}")
        seen.append(target)
        if len(seen) > _MOST_ALIASES + 1:
            what = f"the alias of {name} leads in a circle or is a chain of more than {_MOST_ALIASES}"
            raise DnsError(what, why=" → ".join(seen), hint="let the first CNAME point at the right name directly")


@dataclass(frozen=True, slots=True)
class _Said:
    """The update server's answer about a name: the *zone* that holds it, the *target* of its alias, or *why* neither is
    there."""

    zone: str = ""
    target: str = ""
    why: str = ""


def _ask_primary(server: Server, owner: str) -> _Said:
    """The update server's answer about *owner*. Raises DnsError.

    It is asked for the CNAME: a negative answer carries the SOA of the zone, so one query is enough for both.
    """
    answer = _ask(server, owner, "CNAME")
    if not is_authoritative(answer):
        return _Said(why=_referral(owner, answer) or f"it answers {rcode_text(answer)} without authority")
    target = alias_in(answer, owner)
    if target and not _from_wildcard(server, owner, target):
        return _Said(target=target)
    zone = "" if target else soa_owner(answer, owner)
    if zone == ROOT:  # a server with a root zone of its own answers for every name
        return _Said(why="its only zone for this name is the root")
    return _Said(zone or zone_at(server, owner))


def _alias_by_resolvers(owner: str, resolvers: Resolvers) -> tuple[str, str]:
    """(target, "") if the resolvers show *owner* as an alias, else ("", reason)."""
    try:
        return alias_in(resolvers.ask(owner, "CNAME"), owner), "and it is no alias (CNAME, DNAME) for a name elsewhere"
    except NoAnswer as error:
        return "", f"whether it is an alias cannot be seen either ({error})"


def alias_in(answer: dns.message.Message, owner: str) -> str:
    """The target of the CNAME at *owner*, "" without one. For a DNAME servers add such a CNAME (RFC 6672 §3.1)."""
    return next((targets([rrset])[0] for rrset in rrset_in(answer.answer, "CNAME", owner)), "")


def soa_owner(answer: dns.message.Message, name: str) -> str:
    """The zone that holds *name*, by an SOA in the answer; "" without one at or above *name*."""
    full = dns.name.from_text(name)
    for rrset in rrset_in([*answer.answer, *answer.authority], "SOA"):
        if full.is_subdomain(rrset.name):
            return plain(rrset.name)
    return ""


def zone_at(server: Server, name: str) -> str:
    """The zone of *server* that holds *name*, by its authoritative SOA. Raises DnsError when there is none.

    A negative answer carries the zone's SOA (RFC 2308 §3), so one query is enough as a rule. If a server sends none,
    the names above are asked.
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
    """Does the alias come from a DNS wildcard? Then a TXT record at *owner* takes its place."""
    sibling = f"_certfleet-{secrets.token_hex(8)}.{owner.partition('.')[2]}"
    answer = _ask(server, sibling, "CNAME")
    return bool(rrset_in(answer.answer, "CNAME", sibling)) and alias_in(answer, sibling) == target


def _refuse_outside(owner: str, zone: str, route: Route) -> None:
    if not below(zone, route.suffix):  # the operator did not allow updates of a zone above it
        why = f"that is above the [[dns.zone]] {route.suffix}, and only zones at or below it may be updated"
        hint = f"create the sub-zone (`zone` prints it), or name {zone} itself in a [[dns.zone]]"
        raise DnsError(f"{owner} is in the zone {zone}", why=why, hint=hint, reference="dns-outside")


def _referral(owner: str, answer: dns.message.Message) -> str:
    """A phrase if *answer* delegates *owner* to other servers, else "". An update there would go below a zone cut."""
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
        what = f"the name server {server} cannot be asked"
        if error.key_refused:
            hint = "add the key to the name server and reload it, or name the right tsig_key_file"
            raise DnsError(what, why=str(error), hint=hint, reference="dns-badkey", retry=Retry.NEVER) from error
        hint = "check that the name server runs and that server and port in [dns] are right"
        raise DnsError(what, why=str(error), hint=hint, retry=Retry.SOON) from error
