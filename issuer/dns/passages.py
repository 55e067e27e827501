"""The name servers that this issuer asks about challenges, and those that a CA asks: for the rules of firewalls."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from common.errors import CertfleetError
from common.threads import each_within
from issuer.dns.asking import NoAnswer
from issuer.dns.dns01 import Dns01
from issuer.dns.dynamic import DynamicZones
from issuer.dns.persist01 import DnsPersist01
from issuer.dns.servers import Server
from issuer.rules.egress import NameServer, Needs, of_name_servers

_AT_ONCE = 16
_SECONDS = 60.0  # for all names together


@dataclass(frozen=True, slots=True)
class _Asked:
    """*servers* have to show the challenge of *name*; *parents* are asked for the delegation; *delegated*: the servers
    that a CA asks, by their host names. *failure*: what could not be found out, "" for nothing."""

    name: str
    zone: str = ""
    servers: Sequence[Server] = ()
    parents: Sequence[Server] = ()
    delegated: Sequence[str] = ()
    failure: str = ""


def needs_of_zones(names: Iterable[str], zones: DynamicZones) -> Needs:
    """The needs of *names* that dns-01 validates. Takes a minute at most. Never raises CertfleetError."""
    return _needs(names, partial(_of_zone, zones), Dns01.name)


def needs_of_records(names: Iterable[str], servers: Callable[[str], tuple[list[Server], list[str]]]) -> Needs:
    """The same for dns-persist-01. *servers*: those that we ask about a name, and the host names of the CA's."""
    return _needs(names, partial(_of_record, servers), DnsPersist01.name)


def _needs(names: Iterable[str], look: Callable[[str], _Asked], way: str) -> Needs:
    needs, late = Needs(), f"no answer within {_SECONDS:g} s"
    for one in each_within(look, names, _AT_ONCE, _SECONDS, lambda name: _Asked(name, failure=late)):
        needs.add(of_name_servers(_places(one.servers), _places(one.parents), one.delegated, way))
        if one.failure:
            needs.warnings.append(f"not all name servers of {one.zone or one.name} are known: {one.failure}")
    return needs


def _places(servers: Sequence[Server]) -> list[NameServer]:
    return [(server.address, server.port, server.name) for server in servers]


def _of_record(servers: Callable[[str], tuple[list[Server], list[str]]], name: str) -> _Asked:
    ours, hosts = servers(name)
    return _Asked(name, servers=ours, delegated=hosts, failure="" if hosts else "nobody names them")


def _of_zone(zones: DynamicZones, name: str) -> _Asked:
    try:
        place = zones.locate(name)
        servers = zones.servers(place.owner, place.zone)
    except CertfleetError as error:
        return _Asked(name, failure=str(error))
    try:
        delegation = zones.delegations.of(place.zone, zones.primary(place.route))
        parents = zones.delegations.parent_servers(place.zone)
    except (CertfleetError, NoAnswer) as error:
        return _Asked(name, place.zone, servers, failure=str(error))
    return _Asked(name, place.zone, servers, parents, delegation.named or delegation.listed)
