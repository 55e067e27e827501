"""The certificate that each address of a target shows in a handshake. It is looked at, not believed.

Nothing is verified here on purpose: the question is which certificate is shown, and the answer is compared with the one
installed. "Cannot be asked" (the name does not resolve) is kept apart from "nothing answers there".
"""

import contextlib
import hashlib
import socket
import ssl
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agent.model.probe_targets import ProbeTarget
from agent.rules.evidence import Seen, Sight
from common.deadline import Deadline, Incoming

_ONE_LOOK = 5.0  # seconds for connection and handshake, each
_LONGEST_HANDSHAKE = 1_000_000  # bytes


@dataclass(frozen=True, slots=True)
class Prober:
    """Looks at sockets; *patience* is the time that a service gets to show what is waited for, *steady* how long it
    must then keep showing it; in seconds.
    """

    patience: float
    steady: float = 0.5
    pause: float = 0.1

    def look(self, targets: Iterable[ProbeTarget], server_name: str) -> tuple[Sight, ...]:
        """One look at every address of every target."""
        return tuple(
            sight for target in targets for sight in look_at(target, target.server_name or server_name, _ONE_LOOK)
        )

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


def look_at(target: ProbeTarget, server_name: str, timeout: float) -> list[Sight]:
    """One look at every address that the target's host has; never raises."""
    try:
        found = socket.getaddrinfo(target.connect_host, target.connect_port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        problem = f"{target.connect_host} has no address ({getattr(error, 'strerror', None) or error})"
        return [Sight(target.text, target.connect_host, Seen.UNKNOWN, problem)]
    return [
        _look(target.text, family, address, server_name, timeout)
        for family, address in dict.fromkeys((entry[0], entry[4]) for entry in found)
    ]


def _look(target: str, family: int, address: tuple[object, ...], server_name: str, timeout: float) -> Sight:
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
