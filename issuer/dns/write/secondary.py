"""The sub-zone on a secondary as texts to paste, for each make of name server. Pure.

A secondary may be of another make than the primary: both speak AXFR (RFC 5936) and NOTIFY (RFC 1996).
"""

from collections.abc import Callable

from common.dataclasses import dataclass
from issuer.dns.servers import DNS_PORT, Server
from issuer.dns.write.zonefile import Piece


@dataclass(frozen=True, slots=True)
class Follower:
    """The texts for one secondary. *once*: needed only for its first sub-zone."""

    once: tuple[Piece, ...]
    stanza: Piece


def _bind(zone: str, host: str, primary: Server) -> Follower:
    port = "" if primary.port == DNS_PORT else f" port {primary.port}"
    text = (
        f'zone "{zone}" {{\n'
        "    type secondary;\n"
        f"    primaries {{ {primary.address}{port}; }};\n"
        f'    file "/var/cache/bind/db.{zone}";\n'
        "};\n"
    )
    return Follower((), Piece("named.conf, then `rndc reconfig`", text, "named.conf", host))


def _knot(zone: str, host: str, primary: Server) -> Follower:
    port = "" if primary.port == DNS_PORT else f"@{primary.port}"
    once = (
        f"remote:\n  - id: primary\n    address: {primary.address}{port}\n"
        f"acl:\n  - id: primary\n    address: {primary.address}\n    action: notify\n"
    )
    text = (
        f'zone:\n  - domain: "{zone}"\n    file: "/var/lib/knot/{zone}.zone"\n    master: primary\n    acl: primary\n'
    )
    place = "knot.conf, then `knotc reload`"
    return Follower((Piece(place, once, "knot.conf", host),), Piece(place, text, "knot.conf", host))


def _powerdns(zone: str, host: str, primary: Server) -> Follower:
    text = f"pdnsutil create-secondary-zone {zone} {Server(primary.address, primary.port)}\n"
    options = Piece("pdns.conf, then a restart", "secondary=yes\n", "pdns.conf", host)
    return Follower((options,), Piece("a root shell", text, "commands.sh", host))


def _nsd(zone: str, host: str, primary: Server) -> Follower:
    port = "" if primary.port == DNS_PORT else f"@{primary.port}"
    text = (
        f'zone:\n    name: "{zone}"\n    zonefile: "/var/lib/nsd/{zone}.zone"\n'
        f"    request-xfr: {primary.address}{port} NOKEY\n    allow-notify: {primary.address} NOKEY\n"
    )
    return Follower((), Piece("nsd.conf, then `nsd-control reconfig`", text, "nsd.conf", host))


FOLLOWERS: dict[str, Callable[[str, str, Server], Follower]] = {
    "bind": _bind,
    "knot": _knot,
    "powerdns": _powerdns,
    "nsd": _nsd,
}
