"""The dynamic sub-zone of one name as text to paste: server stanza, zone file, the parent's delegation. Pure.

The sub-zone is ``_acme-challenge.NAME`` itself, so that it can hold nothing but challenges, and the key may write
nothing but TXT at its top. SOA minimum and TTL are short: a resolver that asked too early forgets soon (RFC 2308 §5).
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to paste where. *stanza_place* and *zone_place* say where, for people."""

    zone: str
    stanza_place: str
    stanza: str
    zone_place: str
    zone_file: str
    parent: str


def bind_recipe(name: str, key_name: str, key_file: str, nameservers: Sequence[str]) -> Recipe:
    """For BIND 9.11 or newer. *nameservers*: host names; the first one is the primary."""
    zone = sub_zone(name)
    file = f"/var/lib/bind/db.{zone}"
    stanza = (
        f'// once: include "{key_file}";\n'
        f'zone "{zone}" {{\n'
        "    type primary;\n"
        f'    file "{file}";\n'
        f"    update-policy {{ grant {key_name} name {zone}. TXT; }};\n"
        "};\n"
    )
    return Recipe(
        zone,
        "named.conf",
        stanza,
        f"{file} (its folder writable for named)",
        _zone_file(zone, nameservers),
        _parent(zone, nameservers),
    )


def sub_zone(name: str) -> str:
    return f"_acme-challenge.{name.removeprefix('*.')}"


def _zone_file(zone: str, nameservers: Sequence[str]) -> str:
    domain = zone.partition(".")[2]
    lines = [
        f"$ORIGIN {zone}.",
        "$TTL 60",
        f"@ IN SOA {nameservers[0]}. hostmaster.{domain}. ( 1 3600 600 604800 60 )",
        *(f"@ IN NS {host}." for host in nameservers),
    ]
    return "\n".join(lines) + "\n"


def _parent(zone: str, nameservers: Sequence[str]) -> str:
    lines = [f"{zone}. IN NS {host}." for host in nameservers]
    lines.append(f"; only if {zone} is signed: add its DS records here too (dnssec-dsfromkey prints them)")
    return "\n".join(lines) + "\n"
