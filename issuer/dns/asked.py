"""The name servers that this issuer asks about challenges, and those that a CA asks: for the rules of firewalls."""

from collections.abc import Iterable
from functools import partial

from common.dataclasses import dataclass
from common.errors import CertfleetError
from common.threads import each_within
from issuer.dns.asking import NoAnswer
from issuer.dns.records import Records
from issuer.dns.servers import Server
from issuer.dns.zones import Zones

_AT_ONCE = 16
_SECONDS = 60.0  # for all names together


@dataclass(frozen=True, slots=True)
class Asked:
    """*servers* have to show the challenge of *name*; *parents* are asked for the delegation; *delegated*: the servers
    that a CA asks, by their host names. *failure*: what could not be found out, "" for nothing."""

    name: str
    zone: str = ""
    servers: tuple[Server, ...] = ()
    parents: tuple[Server, ...] = ()
    delegated: tuple[str, ...] = ()
    failure: str = ""


def asked_about(names: Iterable[str], solver: Zones | Records) -> list[Asked]:
    """For each of *names*, all side by side; they are validated by *solver*."""
    look = partial(_asked, solver) if isinstance(solver, Zones) else partial(_asked_for_record, solver)
    late = f"no answer within {_SECONDS:g} s"
    return each_within(look, names, _AT_ONCE, _SECONDS, lambda name: Asked(name, failure=late))


def _asked_for_record(records: Records, name: str) -> Asked:
    servers, hosts = records.servers(name)
    return Asked(name, servers=tuple(servers), delegated=tuple(hosts), failure="" if hosts else "nobody names them")


def _asked(zones: Zones, name: str) -> Asked:
    try:
        place = zones.locate(name)
        servers = tuple(zones.servers(place.owner, place.zone))
    except CertfleetError as error:
        return Asked(name, failure=str(error))
    try:
        delegation = zones.delegations.of(place.zone, zones.primary(place.route))
        parents = zones.delegations.parent_servers(place.zone)
    except (CertfleetError, NoAnswer) as error:
        return Asked(name, place.zone, servers, failure=str(error))
    return Asked(name, place.zone, servers, tuple(parents), delegation.named or delegation.listed)
