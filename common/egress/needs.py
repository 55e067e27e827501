"""The passages that a firewall has to leave open, and the facts about each. Pure.

Hosts and URLs come from a CA, a certificate or a configuration: only a host name or an address becomes a passage.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from ipaddress import ip_address
from urllib.parse import urlsplit

from common.database_url import MysqlAddress, parse_database_url
from common.dataclasses import dataclass, replace
from common.mail_settings import MailSettings

_PORTS = {"http": 80, "https": 443, "ldap": 389}
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")  # underscores: hosts of a private network
NO_PROMISE = (
    "Addresses are no promise: whoever owns a name may move it at any time, and CAs do so without a word. "
    "A list of addresses is right for the moment in which it was made."
)


@dataclass(frozen=True, slots=True)
class Need:
    """One connection that somebody makes. *protocol*: "tcp" or "udp". *why* says for what, in a few words. *ours*: this
    machine makes it itself; else it is made by web servers that staple, or by clients that verify."""

    host: str
    port: int
    protocol: str
    why: str
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Passage:
    """All needs of one host, port and protocol together."""

    host: str
    port: int
    protocol: str
    whys: tuple[str, ...]
    ours: bool


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """Where a connection goes to: an IP address, a port, "tcp" or "udp"."""

    address: str
    port: int
    protocol: str


class Reach(Enum):
    """The outcome of one connection."""

    OPEN = "reachable"
    CLOSED = "not reachable"
    NO_ROUTE = "no route from here"  # this machine has no address of that family


@dataclass(frozen=True, slots=True)
class Reached:
    """*why*: the operating system's reason, "" for an open one."""

    reach: Reach
    why: str = ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """An address of a host. *ttl*: the longest time in seconds for which a resolver was seen to keep it, None where
    nobody said. *first* and *last*: when it was seen, epoch seconds. *now*: this look has seen it."""

    address: str
    ttl: int | None
    first: int
    last: int
    now: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """A passage, every address of its host, what came of a connection to each that was tried, and why there is no
    address."""

    passage: Passage
    sightings: tuple[Sighting, ...]
    reached: tuple[tuple[str, Reached], ...] = ()
    unresolved: str = ""

    @property
    def ttl(self) -> int | None:
        """How long a resolver keeps the addresses, in seconds; None where nobody said."""
        return max((seen.ttl for seen in self.sightings if seen.now and seen.ttl is not None), default=None)

    def state(self, *, ipv6: bool) -> str:
        """How the addresses of one family are reached: a value of Reach, "partly reachable", or "no address"."""
        states = {one.reach for address, one in self.reached if (":" in address) == ipv6}
        if not states:
            return "no address"
        return states.pop().value if len(states) == 1 else "partly reachable"

    @property
    def well(self) -> bool:
        """Is every address of now reached, but for those of a family that this machine does not have?"""
        states = [one.reach for _, one in self.reached]
        return Reach.OPEN in states and Reach.CLOSED not in states


def merged(needs: Iterable[Need]) -> list[Passage]:
    """A passage for each host, port and protocol, in the order in which they came first. A need without a host is left
    out."""
    found: dict[tuple[str, int, str], list[Need]] = {}
    for need in needs:
        host = plain_host(need.host)
        if host and 0 < need.port < 65536:
            found.setdefault((host, need.port, need.protocol), []).append(need)
    return [
        Passage(*place, tuple(dict.fromkeys(need.why for need in some)), any(need.ours for need in some))
        for place, some in found.items()
    ]


def plain_host(text: str) -> str:
    """A host name in lower case or an IP address; "" for what is neither."""
    host = text.strip().lower().removesuffix(".")
    if is_ip(host):
        return str(ip_address(host))
    return host if _HOST.fullmatch(host) and not host.rpartition(".")[2].isdigit() else ""


def is_ip(text: str) -> bool:
    """Is it an IP address that means the same everywhere?"""
    try:
        return "%" not in str(ip_address(text))
    except ValueError:
        return False


def by_url(url: str, why: str, *, ours: bool = True) -> list[Need]:
    """The need of a URL; [] for one that leads to no host."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme.lower(), 0)
    except ValueError:
        return []
    return [Need(parts.hostname, port, "tcp", why, ours)] if parts.hostname and port else []


def both(host: str, port: int, why: str) -> list[Need]:
    """The needs of a client of a name server: UDP, and TCP for answers that do not fit (RFC 7766 §5)."""
    return [Need(host, port, protocol, why) for protocol in ("udp", "tcp")]


def of_database(url: str) -> list[Need]:
    """The servers of a database; [] for a file, a socket of this machine, and a URL that is malformed."""
    try:
        address = parse_database_url(url)
    except ValueError:
        return []
    hosts = address.hosts if isinstance(address, MysqlAddress) else ()
    return [Need(host, port, "tcp", "database") for host, port in hosts]


def of_mail(settings: MailSettings) -> list[Need]:
    """The connection to the mail server; none where nobody gets mail."""
    return [Need(settings.smtp_host, settings.smtp_port, "tcp", "mail")] if settings.email_to else []


def spots_of(found: Sequence[Found]) -> list[Spot]:
    """Every connection to try: the addresses that this look has seen."""
    return list(
        dict.fromkeys(
            Spot(seen.address, one.passage.port, one.passage.protocol)
            for one in found
            for seen in one.sightings
            if seen.now
        )
    )


def sightings(addresses: Mapping[str, int | None], before: Iterable[Sighting], now: int) -> tuple[Sighting, ...]:
    """The facts about a host: the *addresses* of this look, with their TTL, and those that were seen *before*."""
    known = {one.address: one for one in before}
    found = [one for address, one in known.items() if address not in addresses]
    for address, ttl in addresses.items():
        earlier = known.get(address, Sighting(address, None, now, now))
        longest = max((each for each in (ttl, earlier.ttl) if each is not None), default=None)
        found.append(Sighting(address, longest, min(earlier.first, now), now, now=True))
    return tuple(sorted(found, key=lambda one: (not one.now, ":" in one.address, one.address)))


def with_reached(found: Sequence[Found], reached: Mapping[Spot, Reached]) -> list[Found]:
    """*found* with what came of the connections."""
    return [
        replace(one, reached=tuple((spot.address, reached[spot]) for spot in spots_of([one]) if spot in reached))
        for one in found
    ]
