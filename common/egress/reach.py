"""Asks from here: which addresses does a host have, by the system's resolver, and does a connection come about?

Everything goes side by side and ends at a deadline, also where nobody answers. Nothing is sent over TCP. Over UDP the
smallest question to a name server is sent, because only an answer shows that a datagram has arrived.
"""

import contextlib
import errno
import os
import selectors
import socket
import time
from collections.abc import Mapping, Sequence

from common.chunks import chunks
from common.dataclasses import dataclass
from common.egress.needs import Reach, Reached, Spot, is_ip
from common.terminal import PROGRESS
from common.threads import each_within

_AT_ONCE = 200  # sockets: well below the usual limit of 1024 files
_RESOLVING_AT_ONCE = 32
_MOST_ADDRESSES = 64  # of one host: whoever answers for a name can give it thousands
_ROOT_SERVERS = b"\0\1\1\0\0\1\0\0\0\0\0\0\0\0\2\0\1"  # "which are the name servers of the root?" (RFC 1035 §4.1)
_NO_ROUTE = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


@dataclass(frozen=True, slots=True)
class Resolved:
    """The addresses of a host. *why*: the reason why there is none."""

    addresses: tuple[str, ...]
    why: str = ""


def resolve(hosts: Sequence[str], seconds: float) -> dict[str, Resolved]:
    """Each host by the system's resolver, /etc/hosts included; "no answer in time" after *seconds*."""
    PROGRESS.tell(f"{len(hosts)} hosts are looked up")
    late = Resolved((), "no answer in time")
    return dict(zip(hosts, each_within(_resolve, hosts, _RESOLVING_AT_ONCE, seconds, lambda _: late), strict=True))


def _resolve(host: str) -> Resolved:
    if is_ip(host):
        return Resolved((host,))
    try:
        entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return Resolved((), getattr(error, "strerror", None) or str(error))
    addresses = sorted({str(entry[4][0]) for entry in entries if is_ip(str(entry[4][0]))})
    return Resolved(tuple(addresses[:_MOST_ADDRESSES]))


def reach(spots: Sequence[Spot], seconds: float) -> Mapping[Spot, Reached]:
    """The outcome of a connection to each spot within *seconds* for each 200 of them."""
    found: dict[Spot, Reached] = {}
    for some in chunks(spots, _AT_ONCE):
        PROGRESS.tell(f"{len(found)} of {len(spots)} connections tried, others are under way")
        found |= _reach_some(some, seconds)
    return found


def _reach_some(spots: Sequence[Spot], seconds: float) -> dict[Spot, Reached]:
    found: dict[Spot, Reached] = {}
    ends = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as opened:
        for spot in spots:
            try:
                connection = opened.enter_context(_socket(spot))
                _begin(connection, spot)
                event = selectors.EVENT_READ if spot.protocol == "udp" else selectors.EVENT_WRITE
                selector.register(connection, event, (spot, connection))
            except OSError as error:
                found[spot] = _of(error.errno or 0)
        while selector.get_map():
            late = time.monotonic() >= ends  # a last look all the same: it may be this process that stood still
            for key, _ in selector.select(max(0.0, ends - time.monotonic())):
                spot, connection = key.data
                selector.unregister(connection)
                found[spot] = _of(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            if late:
                break
    return {spot: found.get(spot, Reached(Reach.CLOSED, f"no answer within {seconds:g} s")) for spot in spots}


def _socket(spot: Spot) -> socket.socket:
    family = socket.AF_INET6 if ":" in spot.address else socket.AF_INET
    return socket.socket(family, socket.SOCK_DGRAM if spot.protocol == "udp" else socket.SOCK_STREAM)


def _begin(connection: socket.socket, spot: Spot) -> None:
    """Raises OSError where it fails at once."""
    connection.setblocking(False)
    code = connection.connect_ex((spot.address, spot.port))
    if code not in (0, errno.EINPROGRESS):
        raise OSError(code, os.strerror(code))
    if spot.protocol == "udp":
        connection.send(_ROOT_SERVERS)


def _of(code: int) -> Reached:
    if not code:
        return Reached(Reach.OPEN)
    return Reached(Reach.NO_ROUTE if code in _NO_ROUTE else Reach.CLOSED, os.strerror(code))
