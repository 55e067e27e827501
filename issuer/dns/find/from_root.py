"""DNS from the root downwards, as the resolver of a CA goes; no resolver of ours is believed on the way.

Each zone on the way is looked at once: do the servers that the zone above names serve it, and is the glue that it hands
out true? A walk is bounded in zones, questions and seconds, whatever the answers say.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import dns.message

from common.deadline import Deadline
from issuer.dns.asking import NoAnswer, ask_each
from issuer.dns.find.routes import below
from issuer.dns.servers import (
    DNS_PORT,
    ROOT,
    Server,
    addresses_in,
    configured_servers,
    is_authoritative,
    plain,
    question,
    rcode_text,
    rrset_in,
    targets,
)
from issuer.model.config import DnsSettings

_HINTS = Path(__file__).with_name("root_servers.txt")  # by IANA
_MOST_ZONES = 16  # on the way to one name
_MOST_SERVERS = 16  # of one zone
_FEW = 4  # of the root and of a zone right below it, whose faults are their keepers'; and for one question
_DEEPEST = 3  # a name server in a zone whose name server is in a zone …
_MOST_QUESTIONS, _SECONDS = 300, 20.0  # for one name


@dataclass(frozen=True, slots=True)
class Zone:
    """*above*: the zone that delegates it, None for the root. *good*: its servers that serve it. *lame* and *silent*:
    the others, each with why. *unfound*: hosts that *above* names as its servers, and that have no address. *stale*:
    (host, addresses by the glue, addresses by its own zone) where these differ."""

    name: str
    above: "Zone | None"
    good: tuple[Server, ...]
    lame: tuple[tuple[Server, str], ...] = ()
    silent: tuple[tuple[Server, str], ...] = ()
    unfound: tuple[str, ...] = ()
    stale: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = ()

    @property
    def is_ours(self) -> bool:
        """Is it neither the root nor a zone right below it?"""
        return self.above is not None and self.above.above is not None


@dataclass(frozen=True, slots=True)
class Way:
    """*zone*: the last one that was found on the way to *name*. *answers*: what its servers say about an A record
    there; empty where the way did not come so far."""

    name: str
    zone: Zone | None
    answers: Mapping[Server, dns.message.Message]

    @property
    def zones(self) -> list[Zone]:
        """The zones on the way that are people's own, from above."""
        found, zone = list[Zone](), self.zone
        while zone is not None:
            found.insert(0, zone)
            zone = zone.above
        return [zone for zone in found if zone.is_ours]

    @property
    def reached(self) -> bool:
        """Did a root server answer?"""
        return self.zone is not None and (self.zone.above is not None or bool(self.zone.good))


class FromRoot:
    """One look at many names: what they have in common is asked once. Thread-safe. The servers below *roots* listen on
    the same port. *seconds*: for all names together."""

    def __init__(self, roots: Sequence[Server], seconds: float):
        self._roots = roots
        self._deadline = Deadline(seconds)
        self._zones: dict[str, Zone] = {}  # two threads may look at the same one; no one waits for another

    def way(self, name: str) -> Way:
        """The way to *name*. Raises DnsError for a malformed name."""
        questions = _Questions(self._deadline)
        zone = self._nearest(name)
        try:
            zone = zone or self._root(questions)
            for _ in range(_MOST_ZONES):
                heard = questions.ask(zone.good[:_FEW], name, "A")
                child = next(filter(None, (_child_in(answer, zone.name, name) for answer in heard.values())), "")
                if not child:
                    own = {server: answer for server, answer in heard.items() if is_authoritative(answer)}
                    return Way(name, zone, own)
                zone = self._below(zone, child, heard, questions, 0)
        except _EnoughError:
            pass
        return Way(name, zone, {})

    def _nearest(self, name: str) -> Zone | None:
        """The lowest zone above or at *name* that is known."""
        labels = name.split(".")
        above = [".".join(labels[first:]) for first in range(len(labels))]
        return next((self._zones[each] for each in [*above, ROOT] if each in self._zones), None)

    def _root(self, questions: "_Questions") -> Zone:
        return self._kept(_looked_at(ROOT, None, self._roots[:_FEW], questions))

    def _kept(self, zone: Zone) -> Zone:
        self._zones[zone.name] = zone
        return zone

    def _below(
        self, above: Zone, name: str, heard: Mapping[Server, dns.message.Message], questions: "_Questions", depth: int
    ) -> Zone:
        """The zone *name*, to which servers of *above* refer in what was *heard*."""
        hosts, glue = _referral(name, heard.values())
        found = {host: glue.get(host) or self._addresses(host, questions, depth + 1) for host in hosts}
        port = self._roots[0].port
        servers = [Server(address, port, host) for host, some in found.items() for address in some]
        most = _MOST_SERVERS if above.above is not None else _FEW
        zone = _looked_at(name, above, list(dict.fromkeys(servers))[:most], questions)
        if not zone.is_ours:
            return self._kept(zone)
        stale = []
        for host, handed_out in glue.items():
            own = _own(zone.good, host, questions) if below(host, name) else self._addresses(host, questions, depth + 1)
            if own and set(handed_out) - set(own):
                stale.append((host, tuple(sorted(handed_out)), tuple(sorted(own))))
        unfound = tuple(host for host, some in found.items() if not some)
        return self._kept(Zone(name, above, zone.good, zone.lame, zone.silent, unfound, tuple(stale)))

    def _addresses(self, host: str, questions: "_Questions", depth: int) -> list[str]:
        """The addresses of a name server by the servers of its own zone; [] where they cannot be found."""
        if depth > _DEEPEST:
            return []
        zone = self._nearest(host) or self._root(questions)
        for _ in range(_MOST_ZONES):
            heard = questions.ask(zone.good[:_FEW], host, "A")
            child = next(filter(None, (_child_in(answer, zone.name, host) for answer in heard.values())), "")
            if not child:
                return _own(zone.good, host, questions)
            zone = self._below(zone, child, heard, questions, depth)
        return []


def from_root(settings: DnsSettings, seconds: float) -> FromRoot | None:
    """The look from the root downwards; None where the configuration names private resolvers and no root servers: then
    the names may be known inside alone, and nobody may ask outside."""
    if settings.root_servers:
        return FromRoot(configured_servers("root_servers", settings.root_servers), seconds)
    resolvers = configured_servers("resolvers", settings.resolvers)
    if resolvers and all(ip_address(server.address).is_private for server in resolvers):
        return None
    lines = [line.split() for line in _HINTS.read_text(encoding="ascii").splitlines() if not line.startswith("#")]
    return FromRoot([Server(address, DNS_PORT, name) for name, address in lines], seconds)


def said_at(name: str, answers: Iterable[dns.message.Message]) -> set[str]:
    """The IPv4 addresses or the alias that the *answers* have for *name*."""
    kinds = ("A", "CNAME")
    return {each for answer in answers for kind in kinds for each in targets(rrset_in(answer.answer, kind, name))}


class _EnoughError(Exception):
    """A bound is reached."""


class _Questions:
    """The questions of one walk."""

    def __init__(self, whole: Deadline):
        self._whole = whole
        self._own = Deadline(_SECONDS)
        self._left = _MOST_QUESTIONS

    def ask_each(self, servers: Sequence[Server], name: str, kind: str) -> dict[Server, dns.message.Message | NoAnswer]:
        """The answer of each. Raises _EnoughError."""
        self._left -= len(servers)
        if self._left < 0 or self._own.over or self._whole.over:
            raise _EnoughError
        return ask_each(servers, question(name, kind))

    def ask(self, servers: Sequence[Server], name: str, kind: str) -> dict[Server, dns.message.Message]:
        """The answers of those *servers* that answer. Raises _EnoughError."""
        answers = self.ask_each(servers, name, kind)
        return {server: answer for server, answer in answers.items() if not isinstance(answer, NoAnswer)}


def _looked_at(name: str, above: Zone | None, servers: Sequence[Server], questions: _Questions) -> Zone:
    """Which of *servers* serve it. One that this machine has no route to is left out."""
    good, lame, silent = list[Server](), list[tuple[Server, str]](), list[tuple[Server, str]]()
    for server, answer in questions.ask_each(servers, name, "SOA").items():
        if isinstance(answer, NoAnswer):
            silent += [] if answer.unreachable else [(server, str(answer))]
        elif is_authoritative(answer) and rrset_in(answer.answer, "SOA", name):
            good.append(server)
        else:
            lame.append((server, f"{rcode_text(answer)} without authority"))
    return Zone(name, above, tuple(good), tuple(lame), tuple(silent))


def _child_in(answer: dns.message.Message, zone: str, name: str) -> str:
    """The zone below *zone* and at or above *name* to which *answer* refers; "" for none. Any other is a lie, or a
    circle."""
    owners = [plain(rrset.name) for rrset in rrset_in(answer.authority, "NS")]
    sound = [
        owner for owner in owners if owner != zone and below(owner, zone.removeprefix(ROOT)) and below(name, owner)
    ]
    return "" if is_authoritative(answer) or not sound else sound[0]


def _referral(name: str, answers: Collection[dns.message.Message]) -> tuple[list[str], dict[str, list[str]]]:
    """(hosts, addresses of those that have glue), merged from all *answers*."""
    hosts: dict[str, None] = {}
    glue: dict[str, list[str]] = {}
    for answer in answers:
        some = targets(rrset_in(answer.authority, "NS", name))[:_MOST_SERVERS]
        hosts |= dict.fromkeys(some)
        for host in some:
            if found := addresses_in(answer.additional, host):
                glue[host] = list(dict.fromkeys([*glue.get(host, ()), *found]))
    return list(hosts)[:_MOST_SERVERS], glue


def _own(servers: Sequence[Server], host: str, questions: _Questions) -> list[str]:
    """The addresses of *host* as those *servers* say with authority."""
    found: list[str] = []
    for kind in ("A", "AAAA"):
        for answer in questions.ask(servers[:_FEW], host, kind).values():
            found += targets(rrset_in(answer.answer, kind, host)) if is_authoritative(answer) else []
    return list(dict.fromkeys(found))
