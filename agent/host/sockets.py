"""The certificate that each address of a target shows in a handshake. It is looked at, not believed.

Nothing is verified here on purpose: the question is which certificate is shown, and the answer is compared with the one
installed. "Cannot be asked" (the name does not resolve) is kept apart from "nothing answers there".
"""

import contextlib
import errno
import hashlib
import socket
import ssl
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agent.host.waits import Waits, result
from agent.model.probe_targets import ProbeTarget
from agent.rules.evidence import Seen, Sight
from common.deadline import Deadline, Incoming

_RESOLVING = 20.0  # seconds; libc's own patience with a dead resolver is shorter, with one over TCP it has no end
_MOST_ADDRESSES = 64  # of one name, looked at side by side: whoever answers for a name can give it thousands
_LONGEST_HANDSHAKE = 1_000_000  # bytes
_Address = tuple[int, tuple[object, ...]]  # family, and what connect takes


@dataclass(frozen=True, slots=True)
class Prober:
    """Looks at sockets; *patience* is the time that a service gets to show what is waited for, *steady* how long it
    must then keep showing it; in seconds.
    """

    patience: float
    waits: Waits
    steady: float = 0.5
    pause: float = 0.1
    one_look: float = 5.0  # seconds for connection and handshake, each

    def look(self, targets: Iterable[ProbeTarget], server_name: str) -> tuple[Sight, ...]:
        """One look at every address of every target, all side by side: one that is slow does not hold up the others."""
        targets = list(targets)
        sights: list[Sight] = []
        asked: list[tuple[ProbeTarget, _Address]] = []
        for target, found in zip(targets, self.waits.each_within(_RESOLVING, _addresses, targets), strict=True):
            if isinstance(found, BaseException):
                sights.append(_without_address(target, found))
            else:
                asked += [(target, address) for address in found]

        def look_at(one: tuple[ProbeTarget, _Address]) -> Sight:
            return _look(*one, one[0].server_name or server_name, self.one_look)

        return (*sights, *map(result, self.waits.each_within(3 * self.one_look, look_at, asked)))

    def deadline(self) -> float:
        return time.monotonic() + self.patience

    def steady_until(self) -> float:
        return time.monotonic() + self.steady

    def wait(self, deadline: float) -> bool:
        """Pause before another look; False once *deadline* has passed."""
        if time.monotonic() >= deadline:
            return False
        time.sleep(self.pause)
        return True


def _addresses(target: ProbeTarget) -> list[_Address]:
    """Every address of the target's host. Raises OSError and UnicodeError."""
    found = socket.getaddrinfo(target.connect_host, target.connect_port, type=socket.SOCK_STREAM)
    addresses: list[_Address] = list(dict.fromkeys((entry[0], entry[4]) for entry in found))
    if len(addresses) > _MOST_ADDRESSES:
        raise OSError(errno.E2BIG, f"{len(addresses)} of them, and at most {_MOST_ADDRESSES} are looked at")
    return addresses


def _without_address(target: ProbeTarget, error: BaseException) -> Sight:
    """Raises an *error* that is no resolver's."""
    if not isinstance(error, OSError | UnicodeError):
        raise error
    problem = f"{target.connect_host} has no address ({getattr(error, 'strerror', None) or error})"
    return Sight(target.text, target.connect_host, Seen.UNKNOWN, problem)


def _look(one: ProbeTarget, where: _Address, server_name: str, timeout: float) -> Sight:
    (family, address), target = where, one.text
    shown = f"[{address[0]}]:{address[1]}" if family == socket.AF_INET6 else f"{address[0]}:{address[1]}"
    try:
        with socket.socket(family, socket.SOCK_STREAM) as plain:
            plain.settimeout(timeout)
            plain.connect(address)
            deadline = Deadline(timeout)
            with Incoming(plain, deadline, _LONGEST_HANDSHAKE) as received:
                shown_there = _shown_by(plain, received, server_name, deadline)
    except (ConnectionError, TimeoutError, ssl.SSLError) as error:
        return Sight(target, shown, Seen.DOWN, _said(error))
    except OSError as error:  # no route, no such family on this host: nobody was asked
        return Sight(target, shown, Seen.UNKNOWN, _said(error))
    if not shown_there:
        return Sight(target, shown, Seen.DOWN, "it shows no certificate")
    sha256, *chain = (hashlib.sha256(one).hexdigest() for one in shown_there)
    return Sight(target, shown, Seen.SERVED, sha256=sha256, certificate=shown_there[0], chain=tuple(chain))


def _shown_by(plain: socket.socket, received: Incoming, server_name: str, deadline: Deadline) -> list[bytes]:
    """The certificates shown in a handshake (DER), the leaf first. The bytes pass through our hands: over a socket,
    OpenSSL would read tiny records for ever within one call, and the time limit would never count."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = _lenient_context().wrap_bio(incoming, outgoing, server_hostname=server_name or None)
    done = False
    while True:
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
            done = True
        plain.settimeout(deadline.left())
        plain.sendall(outgoing.read())
        if done:
            return _certificates(tls)
        if data := received.read(65536):
            incoming.write(data)
        else:
            incoming.write_eof()


def _certificates(tls: ssl.SSLObject) -> list[bytes]:
    """All that the peer has shown. Python has a public way since 3.13; 3.11 and 3.12 have the same one below."""
    if sys.version_info >= (3, 13):
        return tls.get_unverified_chain()
    below: Any = tls
    return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in below._sslobj.get_unverified_chain() or ()]


def _said(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return f"no TLS handshake ({error.reason or error})"
    return error.strerror or str(error)


def _lenient_context() -> ssl.SSLContext:
    """Looks at whatever is served, also by a service with old protocols and weak keys."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    return context
