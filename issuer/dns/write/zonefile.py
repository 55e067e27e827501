"""The dynamic sub-zone of one name as texts to paste: server stanza, zone file, delegation in the parent. Pure.

The sub-zone is ``_acme-challenge.NAME`` itself. It holds only answers, and the key may write only TXT at its apex.
SOA minimum and TTL are short: resolvers soon forget "no such record" (RFC 2308 §5). SOA refresh is short: a secondary
that missed a NOTIFY (RFC 1996) transfers the zone in time. No text holds the key's secret: the name server takes it
from the key file.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath

from common import dataclasses
from common.dataclasses import dataclass
from issuer.dns.dns01 import sub_zone

_BIND_KEY_PLACE = " (name the copy of the key that named may read: on Debian below /etc/bind)"
_BIND_FOLDER = "/var/lib/bind"
_KNOT_FOLDER = "/var/lib/knot"
_POWERDNS_FOLDER = "/etc/powerdns"
_SHELL = "a root shell"
_PRIMARY, _PARENT = "the primary", "the parent"

_KNOT_KEY = r"""umask 077; sed -n 's/^key "\(.*\)" {/key:\n  - id: "\1"/p
s/^[[:space:]]*algorithm \(.*\);/    algorithm: \1/p
s/^[[:space:]]*secret \(".*"\);/    secret: \1/p' KEY_FILE > /etc/knot/KEY.conf; chown knot: /etc/knot/KEY.conf
"""
_KNOT_ACL = """include: "/etc/knot/KEY.conf"
acl:
  - id: certfleet
    key: "KEY"
    action: update
    update-type: TXT
    update-owner: zone
    update-owner-match: equal
"""
_POWERDNS_OPTIONS = """primary=yes
dnsupdate=yes
# address and key must both be right: narrow this to the issuer's address
allow-dnsupdate-from=0.0.0.0/0,::/0
# the zone's metadata can say which key, but not which names and types: that takes this policy
lua-dnsupdate-policy-script=/etc/powerdns/certfleet.lua
"""
_POWERDNS_POLICY = """-- Only TXT, only at the top of a zone named _acme-challenge, only with this key. PowerDNS drops
-- and logs any other update, but has no way to refuse it: it answers NOERROR all the same.
function updatepolicy(input)
  local zone = input:getZoneName()
  return input:getTsigName():equal("KEY") and zone:toString():lower():sub(1, 16) == "_acme-challenge."
    and input:getQName() == zone and input:getQType() == pdns.TXT
end
"""


@dataclass(frozen=True, slots=True)
class Piece:
    """A text, and the place on *host* where a person pastes it. *file*: the name of a file for it."""

    place: str
    text: str
    file: str
    host: str = _PRIMARY

    @property
    def on_secondary(self) -> bool:
        return self.host not in (_PRIMARY, _PARENT)

    @property
    def path(self) -> str:
        """The place of the file below the folder of `zone --out`."""
        return f"{self.host.removeprefix('the ')}/{self.file}"


@dataclass(frozen=True, slots=True)
class Nameservers:
    """The name servers of a sub-zone by host name; *hosts* begins with the primary. *secondaries*: the addresses of the
    others, [] where they are not known here."""

    hosts: Sequence[str]
    secondaries: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Recipe:
    """The texts to paste, each with its place. *once*: needed only for the first sub-zone of a server. *secondaries*:
    a stanza for each."""

    zone: str
    once: tuple[Piece, ...]
    stanza_place: str
    stanza: str
    zone_place: str
    zone_file: str
    parent: str
    secondaries: tuple[Piece, ...] = ()

    @property
    def pieces(self) -> list[Piece]:
        """The pieces to paste for this zone, in the order of the work."""
        shell = self.stanza_place.startswith(_SHELL)
        file = PurePath(self.zone_place.partition(" ")[0]).name
        return [
            Piece(self.zone_place, self.zone_file, file),
            Piece(self.stanza_place, self.stanza, "commands.sh" if shell else self.stanza_place),
            *self.secondaries,
            Piece("its zone file", self.parent, "ns-records", _PARENT),
        ]


def bind_recipe(name: str, key_name: str, key_file: str, servers: Nameservers) -> Recipe:
    """The recipe for BIND."""
    zone = sub_zone(name)
    file = f"{_BIND_FOLDER}/db.{zone}"
    stanza = (
        f'zone "{zone}" {{\n'
        "    type primary;\n"
        f'    file "{file}";\n'
        f'    update-policy {{ grant "{key_name}" name {zone}. TXT; }};\n'
        "};\n"
    )
    nameservers = servers.hosts
    return Recipe(
        zone,
        (Piece(f"named.conf{_BIND_KEY_PLACE}", f'include "{key_file}";\n', "named.conf"),),
        "named.conf",
        stanza,
        f"{file} (its folder writable for named)",
        _zone_file(zone, nameservers),
        _parent(zone, nameservers, f"dig @{nameservers[0]} {zone} CDS"),
    )


def knot_recipe(name: str, key_name: str, key_file: str, servers: Nameservers) -> Recipe:
    """The recipe for Knot DNS."""
    zone, nameservers = sub_zone(name), servers.hosts
    file = f"{_KNOT_FOLDER}/{zone}.zone"
    known = {host: f"[{', '.join(addresses)}]" for host, addresses in servers.secondaries.items() if addresses}
    followers = [
        Piece(
            "knot.conf",
            f"remote:\n  - id: {host}\n    address: {addresses}\n"
            f"acl:\n  - id: {host}\n    address: {addresses}\n    action: transfer\n",
            "knot.conf",
        )
        for host, addresses in known.items()
    ]
    stanza = f'zone:\n  - domain: "{zone}"\n    file: "{file}"\n    acl: [{", ".join(["certfleet", *known])}]\n'
    stanza += f"    notify: [{', '.join(known)}]\n" if known else ""
    return Recipe(
        zone,
        (
            Piece(_SHELL, _filled(_KNOT_KEY, key_name, key_file), "commands.sh"),
            Piece("knot.conf", _filled(_KNOT_ACL, key_name, key_file), "knot.conf"),
            *followers,
        ),
        "knot.conf",
        stanza,
        f"{file} (its folder writable for knot)",
        _zone_file(zone, nameservers),
        _parent(zone, nameservers, f"keymgr {zone} ds"),
    )


def powerdns_recipe(name: str, key_name: str, key_file: str, servers: Nameservers) -> Recipe:
    """The recipe for PowerDNS with a database as its backend."""
    zone, nameservers = sub_zone(name), servers.hosts
    known = [address for addresses in servers.secondaries.values() for address in addresses]
    file = f"{_POWERDNS_FOLDER}/{zone}.zone"
    key = (
        f"pdnsutil import-tsig-key {key_name} $(sed -n 's/^[[:space:]]*algorithm \\(.*\\);/\\1/p' {key_file}) "
        f'"$(sed -n \'s/^[[:space:]]*secret "\\(.*\\)";/\\1/p\' {key_file})"\n'
    )
    stanza = (
        f"pdnsutil load-zone {zone} {file}\n"
        f"pdnsutil set-kind {zone} primary\n"
        f"pdnsutil set-meta {zone} TSIG-ALLOW-DNSUPDATE {key_name}\n"
        f"pdnsutil set-meta {zone} NOTIFY-DNSUPDATE 1\n"
        f"pdnsutil set-meta {zone} SOA-EDIT-DNSUPDATE INCREASE\n"
        + (f"pdnsutil set-meta {zone} ALLOW-AXFR-FROM {' '.join(known)}\n" if known else "")
    )
    return Recipe(
        zone,
        (
            Piece(_SHELL, key, "commands.sh"),
            Piece("pdns.conf", _POWERDNS_OPTIONS, "pdns.conf"),
            Piece("/etc/powerdns/certfleet.lua", _filled(_POWERDNS_POLICY, key_name, key_file), "certfleet.lua"),
        ),
        f"{_SHELL}, after the zone file; served within zone-cache-refresh-interval (5 minutes)",
        stanza,
        file,
        _zone_file(zone, nameservers),
        _parent(zone, nameservers, f"pdnsutil export-zone-ds {zone}"),
    )


RECIPES: dict[str, Callable[[str, str, str, Nameservers], Recipe]] = {
    "bind": bind_recipe,
    "knot": knot_recipe,
    "powerdns": powerdns_recipe,
}


def with_notes(recipe: Recipe, notes: Sequence[str]) -> Recipe:
    """The same recipe with *notes* as comments above the parent's lines."""
    comments = "".join(f"; {' '.join(note.split())}\n" for note in notes)
    return dataclasses.replace(recipe, parent=comments + recipe.parent)


def _filled(text: str, key_name: str, key_file: str) -> str:
    return text.replace("KEY_FILE", key_file).replace("KEY", key_name)


def _zone_file(zone: str, nameservers: Sequence[str]) -> str:
    domain = zone.partition(".")[2]
    lines = [
        f"$ORIGIN {zone}.",
        "$TTL 60",
        f"@ IN SOA {nameservers[0]}. hostmaster.{domain}. ( 1 300 60 604800 60 )",
        *(f"@ IN NS {host}." for host in nameservers),
    ]
    return "\n".join(lines) + "\n"


def _parent(zone: str, nameservers: Sequence[str], prints_ds: str) -> str:
    lines = [f"{zone}. IN NS {host}." for host in nameservers]
    lines.append(f"; only if {zone} is signed: its DS records too, as `{prints_ds}` prints them")
    return "\n".join(lines) + "\n"
