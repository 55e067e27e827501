"""The findings about a zone: one line for each observation, with what to do. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from common.check_line import Line
from common.clock import duration_text
from issuer.dns.find.delegation import Delegation
from issuer.dns.find.routes import below
from issuer.model.acme import Laggard
from issuer.rules.findings import bad, ok, warn

_NEGATIVE_SECONDS = 300  # with more, a resolver that looked too early spoils the next tries too
_AWAY = "it is down, or a firewall keeps us from it: start it, or open port 53 (TCP and UDP)"
_FOLLOW = "look at NOTIFY and zone transfer to it, or at nameservers in [dns]"


def soa_line(zone: str, minimum: int, ttl: int) -> Line:
    """How long resolvers cache "no such record": the smaller of the SOA's minimum and TTL, in seconds (RFC 2308 §5)."""
    seconds = min(minimum, ttl)
    sentence = f"resolvers remember for {duration_text(seconds)} that there is no record"
    if seconds <= _NEGATIVE_SECONDS:
        return ok(f"zone {zone}", sentence)
    hint = f"set the SOA's minimum or TTL to {_NEGATIVE_SECONDS} s or less; 60 is good"
    return warn(f"zone {zone}", sentence, hint)


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """The throw-away record on every server after *waited* seconds.

    *shown*: (server, seconds until it showed the record). *laggards*: servers that do not show it. *unasked*: (server,
    reason) of those that may be ignored. *away*: servers without any answer. *serials*: the zone's serial by server.
    *newest*: the serial at the server that takes the updates.
    """

    shown: Sequence[tuple[str, float]]
    laggards: Sequence[Laggard]
    waited: float
    unasked: Sequence[tuple[str, str]] = ()
    serials: Mapping[str, int] = field(default_factory=dict)
    newest: int | None = None
    away: Collection[str] = ()


def server_lines(zone: str, trip: RoundTrip) -> list[Line]:
    """One line for each server of *zone*."""
    subject = f"zone {zone}"
    lines = [ok(subject, f"{server} shows a new record after {seconds:.2f} s") for server, seconds in trip.shown]
    hint = "a CA may reach it: check from another machine that it shows new records, or mend the route"
    lines += [warn(subject, f"{server} cannot be looked at from here: {why}", hint) for server, why in trip.unasked]
    for late in trip.laggards:
        told, hint = ("", _AWAY) if late.who in trip.away else _serial_words(trip.serials.get(late.who), trip.newest)
        lines.append(bad(subject, f"after {trip.waited:.0f} s {late}{told}", hint))
    return lines


def _serial_words(serial: int | None, newest: int | None) -> tuple[str, str]:
    """(reason, hint) for a server that does not show the record, by its serial and the primary's."""
    if serial is None or newest is None:
        return "", _FOLLOW
    if serial == newest:
        hint = (
            "it serves another zone or view of that name: let it transfer the zone from the server of the updates; "
            "if it is that server, another of its views answers us: set sign_queries in [dns] if the key chooses the "
            "view, or show the zone in both (in-view)"
        )
        return f"; its serial is {serial}, the same as where updates go", hint
    told = f"; its serial is {serial}, {newest} where updates go"
    if (newest - serial) % 2**32 < 2**31:
        return told, _FOLLOW
    hint = f"its copy has the higher serial, so it takes no transfer: raise the serial above {serial}, or force one"
    return told, hint


def delegation_lines(delegation: Delegation) -> list[Line]:
    """The parent's list of name servers beside the zone's own."""
    subject, parent = f"zone {delegation.zone}", delegation.parent
    if not parent:
        return [warn(subject, "no resolver answers, so its delegation was not checked", "set resolvers in [dns]")]
    lines = []
    if not delegation.seen:
        hint = "check that this machine may ask them on port 53"
        lines.append(warn(subject, f"no server of {parent} answers, so its delegation was not checked", hint))
    elif delegation.inner:
        hint = "add the delegation there, unless the CA asks these resolvers too"
        lines.append(warn(subject, f"{parent} does not delegate it; only this machine's resolvers know it", hint))
    named, listed = set(delegation.named), set(delegation.listed)
    only_parent, only_zone = sorted(named - listed), sorted(listed - named)
    if listed and (only_parent or only_zone):
        parts = [f"only {parent} names {', '.join(only_parent)}"] if only_parent else []
        parts += [f"only the zone itself names {', '.join(only_zone)}"] if only_zone else []
        lines.append(warn(subject, " and ".join(parts), "make both NS lists the same"))
    found = {server.name for server in delegation.servers}
    for host in sorted((named | listed) - found):
        if host in named and below(host, delegation.zone):
            continue  # the parent lacks its glue, which is told
        sentence = f"its name server {host} has no address that the resolvers know, so a CA may try it in vain"
        lines.append(warn(subject, sentence, "add address records for it, or take it out of the NS lists"))
    return lines or [ok(subject, f"{parent} delegates it to {', '.join(delegation.named)}")]


def no_zone_of_its_own_line(zone: str, owner: str) -> Line:
    """A warning: *zone* is above *owner* and may hold other records, which no program should be able to change."""
    sentence = f"{owner} has no zone of its own, so its challenges are written into this one"
    prints = f"`certfleet-issuer zone {owner.removeprefix('_acme-challenge.')}` prints it"
    hint = f"create the sub-zone ({prints}), or if {zone} is meant, name it in a [[dns.zone]]"
    return warn(f"zone {zone}", sentence, hint)
