"""The addresses of a target, and which of them are this machine's."""

import contextlib
import errno
import socket
from collections.abc import Sequence
from typing import Any

from common.probe.target import ProbeTarget

Address = tuple[int, tuple[Any, ...]]
"""A family, and what connect takes."""

_LISTENING_SECONDS = 1.0
_MOST_ADDRESSES = 64  # of one name, looked at side by side: whoever answers for a name can give it thousands


def addresses(target: ProbeTarget) -> list[Address]:
    """Every address of the target's host. Raises OSError and UnicodeError."""
    found = socket.getaddrinfo(target.connect_host, target.connect_port, type=socket.SOCK_STREAM)
    each: list[Address] = list(dict.fromkeys((entry[0], entry[4]) for entry in found))
    if len(each) > _MOST_ADDRESSES:
        raise OSError(errno.E2BIG, f"{len(each)} of them, and at most {_MOST_ADDRESSES} are looked at")
    return each


def address_text(address: Address) -> str:
    """The address for people, "192.0.2.1:443" or "[2001:db8::1]:443"."""
    family, (host, port, *_) = address
    return f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"


def is_of_this_host(address: Address) -> bool:
    """Is it an address of this machine? Then the kernel would send from there to there. Nothing is sent. To bind it
    would prove nothing where net.ipv4.ip_nonlocal_bind is set, as hosts of a cluster have it."""
    _, where = address
    return where[0].startswith("127.") or where[0] in {source[0] for _, source in _sources(address)}


def own_addresses(others: Sequence[Address]) -> list[Address]:
    """Addresses of this machine at the ports of the *others*: those that it sends from to them, and loopback's."""
    found: dict[Address, None] = {}
    for family, where in others:
        loopback = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        sources = [source[0] for _, source in _sources((family, where))]
        found |= dict.fromkeys((family, (host, *where[1:])) for host in (*sources, loopback))
    return list(found)


def listens(address: Address) -> bool:
    """Does something of this machine listen there? Tried by a connection."""
    family, where = address
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.settimeout(_LISTENING_SECONDS)
        tried.connect(where)
        return True
    return False


def _sources(address: Address) -> list[Address]:
    """The address from which the kernel would send to *address*; none where there is no way. Nothing is sent."""
    family, where = address
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as plain:
        plain.connect(where)
        return [(family, plain.getsockname())]
    return []
