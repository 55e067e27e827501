"""Findings about the way to a name from the root downwards, and about a resolver that says otherwise."""

import dataclasses
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from ipaddress import ip_address

from common.check_line import Level, Line
from common.names import is_address
from issuer.dns.asking import NoAnswer
from issuer.dns.find.from_root import FromRoot, Way, Zone, from_root, said_at
from issuer.dns.find.resolvers import Resolvers
from issuer.dns.servers import rrset_in
from issuer.ground.ttl_cache import TtlCache
from issuer.model.config import DnsSettings
from issuer.rules.findings import bad, ok, warn

_KEEP_SECONDS = 300.0
_LOAD = "load the zone there, or take it out of the NS list"


class RootLook:
    """The findings of one `check`, each once, whichever name leads to it. *walk*: None to look at nothing.
    Thread-safe."""

    def __init__(self, walk: FromRoot | None, resolvers: Resolvers):
        self._walk = walk
        self._resolvers = resolvers
        self._told: set[Line] = set()
        self._lock = threading.Lock()

    def lines(self, names: Iterable[str]) -> list[Line]:
        """About the way to each of *names*."""
        found = list[Line]()
        for way in ways(self._walk, names):
            if not way.reached:
                why = "no root server answers this machine" if way.zone else "there was no time for every name"
                found.append(ok("DNS from the root", f"{why}, so nothing is said of it"))
                continue
            found += [line for zone in way.zones for line in zone_lines(zone)]
            found += _resolvers_beside(way, self._resolvers)
        with self._lock:
            new = [line for line in dict.fromkeys(found) if line not in self._told]
            self._told.update(new)
        return new


class FaultsFromRoot:
    """The same for orders: what cannot be seen is no fault. A walk is kept for five minutes. Thread-safe."""

    def __init__(self, settings: DnsSettings, resolvers: Resolvers):
        self._settings = settings
        self._resolvers = resolvers
        self._walks: TtlCache[str, FromRoot | None] = TtlCache(_KEEP_SECONDS)

    def __call__(self, names: Sequence[str]) -> list[Line]:
        """The faults on the way to *names*, each once. A zone that nobody serves is bad, unless a resolver finds it all
        the same: then this machine may be shown another view than a CA."""
        walk = self._walks.get("", lambda: from_root(self._settings, _KEEP_SECONDS))
        found = list(ways(walk, names))
        lines = [self._judged(line, zone.name) for zone in zones_on(found) for line in zone_lines(zone)]
        return lines + [line for way in found if way.reached for line in _resolvers_beside(way, self._resolvers)]

    def _judged(self, line: Line, zone: str) -> Line:
        disputed = line.level is Level.BAD and _found(zone, self._resolvers)
        return dataclasses.replace(line, level=Level.WARN) if disputed else line


def ways(walk: FromRoot | None, names: Iterable[str]) -> Iterator[Way]:
    """The way to each of *names*."""
    return (walk.way(name) for name in dict.fromkeys(names)) if walk is not None else iter(())


def zones_on(found: Iterable[Way]) -> list[Zone]:
    """The zones on these ways, as far as they were reached, each once."""
    return list({zone.name: zone for way in found if way.reached for zone in way.zones}.values())


def zone_lines(zone: Zone) -> Iterator[Line]:
    """The faults between *zone* and the one above it. A fault that a CA can get round is a warning."""
    subject, above = f"zone {zone.name}", zone.above.name if zone.above is not None else ""
    for server, why in zone.lame:
        sentence = f"{server} does not serve it (lame), and {above} names it: {why}"
        yield Line(Level.WARN if zone.good else Level.BAD, subject, sentence, _LOAD)
    for host, handed_out, own in zone.stale:
        sentence = f"the glue of {host} says {', '.join(handed_out)}, its address records say {', '.join(own)}"
        yield warn(subject, sentence, f"mend the glue in {above}")
    for host in zone.unfound:
        sentence = f"{above} names {host}, which has no address that can be found from the root"
        yield warn(subject, sentence, "add address records for it, or take it out of the NS list")
    if not zone.good and (zone.lame or zone.silent):
        silent = "; ".join(f"{server}: {why}" for server, why in zone.silent)
        sentence = f"none of the servers that {above} names serves it{f' ({silent})' if silent else ''}"
        yield bad(subject, sentence, "a CA finds nothing there: mend the delegation, or start the servers")
        return
    for server, why in zone.silent:
        yield warn(subject, f"{server} does not answer: {why}", "start it, or open port 53 (TCP and UDP)")


def resolver_lines(name: str, own: Collection[str], said: Collection[str]) -> Iterator[Line]:
    """A finding where the resolvers say other addresses (or another alias) for *name* than its *own* servers. Inner
    addresses in place of outer ones are a view that somebody meant."""
    if set(own) & set(said) or not (own or said) or (own and said and all(map(_is_inner, said))):
        return
    theirs, ours = (", ".join(sorted(some)) or "that there is no address" for some in (said, own))
    hint = "a CA sees the second: a resolver lies, has an older answer, or shows another view; set resolvers in [dns]"
    yield warn(name, f"the resolvers say {theirs}, its own servers say {ours}", hint)


def _resolvers_beside(way: Way, resolvers: Resolvers) -> list[Line]:
    if not way.answers or way.name.startswith("_"):
        return []
    try:
        said = said_at(way.name, [resolvers.ask(way.name, "A")])
    except NoAnswer:  # told with the CAA records
        return []
    return list(resolver_lines(way.name, said_at(way.name, way.answers.values()), said))


def _found(zone: str, resolvers: Resolvers) -> bool:
    try:
        return bool(rrset_in(resolvers.ask(zone, "SOA").answer, "SOA", zone))
    except NoAnswer:
        return False


def _is_inner(text: str) -> bool:
    return is_address(text) and ip_address(text).is_private
