"""The sockets of this host's services: every address of a target is looked at, side by side.

Where a name has several addresses and some are this host's, those are looked at and no others: what another host serves
is not this host's to judge.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.host.waits import Waits, result
from agent.rules.evidence import Sight
from common.errors import CertfleetError
from common.files import read_secret
from common.pem import private_key
from common.probe.look import Address, address_text, addresses, is_of_this_host, look, why
from common.probe.target import ProbeTarget
from common.probe.view import KeyType, Seen, View, key_type_in

_RESOLVING = 20.0  # seconds; libc's own patience with a dead resolver is shorter, with one over TCP it has no end


def own_key_type(key: Path) -> KeyType:
    """ "" too for a key that cannot be read: others say so."""
    try:
        return key_type_in(private_key(read_secret(key)))
    except CertfleetError:
        return ""


@dataclass(frozen=True, slots=True)
class Prober:
    """Looks at sockets; *patience* is the time that a service gets to show what is waited for, *steady* how long it
    must then keep showing it; in seconds. *type_of* tells the type of a key file.
    """

    patience: float
    waits: Waits
    steady: float = 0.5
    pause: float = 0.1
    one_look: float = 10.0  # seconds for connection, STARTTLS and handshake together
    type_of: Callable[[Path], KeyType] = own_key_type

    def look(self, targets: Iterable[ProbeTarget], server_name: str, key: Path) -> tuple[Sight, ...]:
        """One look at every address of every target, all side by side: one that is slow does not hold up the others."""
        targets, key_type = list(targets), self.type_of(key)
        sights: list[Sight] = []
        asked: list[_Asked] = []
        for target, found in zip(targets, self.waits.each_within(_RESOLVING, addresses, targets), strict=True):
            if isinstance(found, BaseException):
                sights.append(_without_address(target, found))
            else:
                asked += _to_ask(target, found)

        def look_at(one: _Asked) -> Sight:
            name = one.target.server_name or server_name
            return _sight(one, look(one.target, one.address, name, self.one_look, key_type))

        return (*sights, *map(result, self.waits.each_within(2 * self.one_look, look_at, asked)))

    def deadline(self, settle: float) -> float:
        return time.monotonic() + max(self.patience, settle)

    def steady_until(self) -> float:
        return time.monotonic() + self.steady

    def wait(self, deadline: float) -> bool:
        """Pause before another look; False once *deadline* has passed."""
        if time.monotonic() >= deadline:
            return False
        time.sleep(self.pause)
        return True


@dataclass(frozen=True, slots=True)
class _Asked:
    """An address that is looked at; *shared* as in Sight."""

    target: ProbeTarget
    address: Address
    shared: bool = False


def _to_ask(target: ProbeTarget, found: Sequence[Address]) -> list[_Asked]:
    """The addresses of this host; all where none is."""
    own = [address for address in found if is_of_this_host(address)]
    shared = not own and len(found) > 1
    return [_Asked(target, address, shared) for address in own or found]


def _without_address(target: ProbeTarget, error: BaseException) -> Sight:
    """Raises an *error* that is no resolver's."""
    if not isinstance(error, OSError | UnicodeError):
        raise error
    problem = f"{target.connect_host} has no address ({why(error)})"
    return Sight(target.text, target.connect_host, Seen.UNKNOWN, problem)


def _sight(one: _Asked, view: View) -> Sight:
    where = one.target.text, address_text(one.address)
    if view.seen is not Seen.SERVED:
        return Sight(*where, view.seen, view.problem, shared=one.shared)
    sha256, *chain = (hashlib.sha256(each).hexdigest() for each in view.shown)
    return Sight(*where, view.seen, "", sha256, tuple(chain), one.shared)
