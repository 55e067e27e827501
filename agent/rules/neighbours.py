"""Sockets of other certificates for the same services: if one is lost, what was just installed is at fault. Pure."""

from collections.abc import Iterable, Sequence

from agent.model.certificate import Certificate, Service, Use
from common.dataclasses import replace
from common.probe.target import ProbeTarget

_MOST = 16  # for one certificate; a service may have 1000 sockets, and few tell whether it is there at all

_Where = tuple[str, int]
_Sockets = dict[Service, dict[_Where, Certificate]]


def neighbours(group: Sequence[Certificate], configured: Iterable[Certificate]) -> list[tuple[Certificate, ...]]:
    """The neighbours of each member of a *group*, which is installed together: certificates, of all that are
    *configured*, that share with it a service that is told. Each is cut down to one socket of that service, and no
    socket comes twice. A socket that the group itself names counts only for members that name none of that service."""
    told = {one for certificate in group for one in certificate.services if one.activate and not one.asks}
    if not told:
        return [()] * len(group)
    names = {certificate.name for certificate in group}
    inside = _sockets(group, told)
    outside = _sockets((one for one in configured if one.name not in names), told)
    return [_of(certificate, inside, outside) for certificate in group]


def _sockets(certificates: Iterable[Certificate], told: set[Service]) -> _Sockets:
    found: _Sockets = {service: {} for service in told}
    for certificate in certificates:
        for use in certificate.uses:
            for probe in use.probes if use.service in told else ():
                only = replace(certificate, uses=(Use(use.service, (probe,)),))
                found[use.service].setdefault(_where(probe), only)
    return found


def _of(certificate: Certificate, inside: _Sockets, outside: _Sockets) -> tuple[Certificate, ...]:
    seen = set(map(_where, certificate.probes))
    found: dict[_Where, Certificate] = {}
    for use in certificate.uses:
        within = inside.get(use.service, {})
        there = {} if use.probes else dict(within)
        there |= {where: one for where, one in outside.get(use.service, {}).items() if where not in within}
        found |= {where: one for where, one in there.items() if where not in seen}
    return tuple(found.values())[:_MOST]


def _where(probe: ProbeTarget) -> _Where:
    return probe.connect_host, probe.connect_port
