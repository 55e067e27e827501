"""The sockets of services: every address of a target is looked at, side by side.

Where a name has several addresses and some are this host's, those are looked at and no others: what another host serves
is not this host's to judge. Where none is, as behind a balancer or a router, this host is looked at too, if something
listens there at that port and the service is this host's own.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Self

from agent.host.waits import Waits, result
from agent.model.remote_host import RemoteHost
from agent.rules.evidence import LookAt, Sight
from common.chunks import chunks
from common.dataclasses import dataclass, replace
from common.errors import CertfleetError
from common.files import read_secret
from common.pem import private_key
from common.probe.addresses import Address, address_text, addresses, is_of_this_host, listens, own_addresses
from common.probe.look import look, why
from common.probe.target import ProbeTarget
from common.probe.view import NO_ANSWER, KeyType, Seen, View, key_type_in

_Host = tuple[str, int]
_Found = list[Address] | BaseException
_IsUsed = Callable[[Address], bool]
_SIDE_BY_SIDE = 64  # sockets that are looked at at once, each by a thread
_AT_ONE_HOST = 16  # of these: a service may take no more connections of one client
_STEADY_SECONDS = 0.5  # for which a service must keep showing what was waited for
_GROWS = 7  # times that a pause is longer than the one before: to 1.7 seconds
_RESOLVING = 20.0  # seconds; libc's own patience with a dead resolver is shorter, with one over TCP it has no end


def own_key_type(key: Path, _host: RemoteHost | None = None) -> KeyType:
    """The type of a key of this machine; "" too for one that cannot be read: others say so."""
    try:
        return key_type_in(private_key(read_secret(key)))
    except CertfleetError:
        return ""


@dataclass(frozen=True, slots=True)
class _Asked:
    """An address that is looked at for a certificate; *shared* as in Sight."""

    target: ProbeTarget
    address: Address
    shared: bool
    server_name: str
    key_type: KeyType


@dataclass(slots=True)
class _Wanted:
    """The looks of one certificate, and what is said of targets without an address."""

    sights: list[Sight]
    asked: list[_Asked]

    @classmethod
    def of(cls, asked: LookAt, key_type: KeyType, found: Mapping[_Host, _Found], is_used: _IsUsed) -> Self:
        """The looks at targets: at the addresses of a host that are this machine's; where none is, at all of them, and
        at this machine too. Those of a service on another host: at all of them. *is_used*: does something listen?"""
        wanted = cls([], [])
        for target in asked.targets:
            there = found[_host(target)]
            if isinstance(there, BaseException):
                wanted.sights.append(_without_address(target, there))
                continue
            is_here = asked.host is None
            own = [address for address in there if is_here and is_of_this_host(address)]
            each = own or [*there, *(_here(target, there, is_used) if is_here else [])]
            facts = (not own and len(each) > 1, target.server_name or asked.server_name, key_type)
            wanted.asked += [_Asked(target, address, *facts) for address in each]
        return wanted


def _host(target: ProbeTarget) -> _Host:
    return target.connect_host, target.connect_port


@dataclass(frozen=True, slots=True)
class Prober:
    """Looks at sockets; *patience*: the seconds that a service gets to show what is waited for. *type_of* tells the
    type of a key file on a machine."""

    patience: float
    waits: Waits
    pause: float = 0.1
    one_look: float = 10.0  # seconds for connection, STARTTLS and handshake together
    type_of: Callable[[Path, RemoteHost | None], KeyType] = own_key_type

    def look_at_all(self, asked: Sequence[LookAt]) -> list[tuple[Sight, ...]]:
        """Several sockets side by side: one that is slow does not hold up the others."""
        found = self._found_of({target for one in asked for target in one.targets})
        is_used = cache(listens)  # a service that hangs lets each such question wait
        types = [self.type_of(one.key, one.host) if one.targets else "" for one in asked]
        views = [_Wanted.of(one, key_type, found, is_used) for one, key_type in zip(asked, types, strict=True)]
        looks = [one for view in views for one in view.asked]
        seen = self._sights(looks)
        return [(*view.sights, *map(seen.__getitem__, view.asked)) for view in views]

    def _sights(self, looks: Sequence[_Asked]) -> dict[_Asked, Sight]:
        """An address that gave no client of some an answer in time is not asked for more names: a service that hangs
        with hundreds of them would not get its old files back for minutes."""
        found: dict[_Asked, Sight] = {}
        silent: dict[Address, Sight] = {}
        for some in _rounds(looks):
            asked = [one for one in some if one.address not in silent]
            ended = self.waits.each_within(2 * self.one_look, self._look_at, asked)
            seen = {one: _ended(one, sight) for one, sight in zip(asked, ended, strict=True)}
            answered = {one.address for one, sight in seen.items() if sight.problem != NO_ANSWER}
            silent |= {one.address: sight for one, sight in seen.items() if one.address not in answered}
            known = {one: seen.get(one) or silent[one.address] for one in some}
            found |= {one: replace(sight, target=one.target.text, shared=one.shared) for one, sight in known.items()}
        return found

    def _found_of(self, targets: Iterable[ProbeTarget]) -> dict[_Host, _Found]:
        """The addresses of their hosts, each asked for once."""
        hosts = {_host(target): target for target in targets}
        some = chunks(hosts.values(), _SIDE_BY_SIDE)
        found = [one for each in some for one in self.waits.each_within(_RESOLVING, addresses, each)]
        return dict(zip(hosts, found, strict=True))

    def _look_at(self, one: _Asked) -> Sight:
        return _sight(one, look(one.target, one.address, one.server_name, self.one_look, one.key_type))

    def deadline(self, settle: float) -> float:
        return time.monotonic() + max(self.patience, settle)

    def steady_until(self) -> float:
        return time.monotonic() + _STEADY_SECONDS

    def wait(self, deadline: float, count: int) -> bool:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(left, self.pause * 1.5 ** min(count, _GROWS)))
        return True


def _rounds(looks: Iterable[_Asked]) -> Iterator[list[_Asked]]:
    """The *looks*, so many at a time as are made side by side; what is asked twice is looked at once."""
    left = list(dict.fromkeys(looks))
    while left:
        some, later, counts = list[_Asked](), list[_Asked](), Counter[str]()
        for one in left:
            host = one.address[1][0]
            counts[host] += 1
            (some if len(some) < _SIDE_BY_SIDE and counts[host] <= _AT_ONE_HOST else later).append(one)
        yield some
        left = later


def _here(target: ProbeTarget, there: list[Address], is_used: _IsUsed) -> list[Address]:
    """Addresses of this host where something listens at the port of *target*, which is at the addresses *there*; none
    where agent.toml says at which address to look, or for RADIUS."""
    if target.connect_host.removesuffix(".") != target.host or target.login is not None:
        return []
    return list(filter(is_used, own_addresses(there)))


def _without_address(target: ProbeTarget, error: BaseException) -> Sight:
    """Raises an *error* that is no resolver's."""
    if not isinstance(error, OSError | UnicodeError):
        raise error
    problem = f"{target.connect_host} has no address ({why(error)})"
    return Sight(target.text, target.connect_host, Seen.UNKNOWN, problem)


def _ended(one: _Asked, found: Sight | BaseException) -> Sight:
    """The look that ended with *found*. On a machine that is too busy to end it by its own time limit, that is what the
    limit would have said. Raises what is no TimeoutError."""
    return _sight(one, View(Seen.NO_TLS, NO_ANSWER)) if isinstance(found, TimeoutError) else result(found)


def _sight(one: _Asked, view: View) -> Sight:
    where = one.target.text, address_text(one.address)
    if view.seen is not Seen.SERVED:
        return Sight(*where, view.seen, view.problem, shared=one.shared, listens=view.listens)
    sha256, *chain = (hashlib.sha256(each).hexdigest() for each in view.shown)
    return Sight(*where, view.seen, "", sha256, tuple(chain), one.shared, view.shown[0])
