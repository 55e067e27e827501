"""`egress` of both sides as people and programs read it."""

from collections.abc import Sequence
from typing import Any

from common.clock import utc_text
from common.command_line import complain, report, say, table
from common.egress import FORMATS
from common.egress.lists import listed
from common.egress.needs import NO_PROMISE, Found, Passage
from common.text import some

_MOST_WARNED = 5  # hosts in one sentence


def show(
    found: Sequence[Found],
    inwards: Sequence[Passage],
    *,
    warnings: Sequence[str] = (),
    notes: Sequence[str] = (),
    form: str,
    as_json: bool,
    quiet: bool = False,
) -> int:
    """Print what was *found*, as a table, a document or, with a *form* of FORMATS, a list for a firewall. Exit code 1
    if an address that this machine itself needs is not reached. *quiet*: a list comes without the remark that addresses
    are no promise."""
    well, notes = all(one.well for one in found if one.passage.ours), [*notes, NO_PROMISE]
    if as_json:
        out = [_document(one) for one in found]
        entries = [_passage(one) | {"from": "anywhere"} for one in inwards]
        report({"well": well, "out": out, "in": entries, "warnings": list(warnings), "notes": notes})
    elif form in FORMATS:
        say(*listed(found, form))
        complain(*warnings, *([] if quiet else [NO_PROMISE]))
    else:
        say(*_lines(found, inwards), *(f"warning: {warning}" for warning in warnings), *notes)
    return 0 if well else 1


def short_lived(found: Sequence[Found], interval: int, interval_text: str) -> list[str]:
    """A warning where addresses may change between two looks of a firewall, *interval* seconds apart."""
    hosts = {one.passage.host: one.ttl for one in found if one.ttl is not None and one.ttl < interval}
    if not hosts:
        return []
    named = [f"{host} ({ttl} s)" for host, ttl in hosts.items()]
    return [
        f"a firewall that resolves every {interval_text} may know other addresses than this machine: "
        f"{some(named, _MOST_WARNED)} change sooner. It helps to let both ask one caching resolver that keeps answers "
        "for that long (Unbound: cache-min-ttl); or give the firewall the list of `egress --watch`, which keeps what "
        "was seen over days; or open the port to any address, from this machine alone; or a proxy that decides by name"
    ]


def _document(one: Found) -> dict[str, Any]:
    reached = dict(one.reached)
    addresses = []
    for seen in one.sightings:
        tried = reached.get(seen.address)
        addresses.append(
            {
                "address": seen.address,
                "ttl": seen.ttl,
                "first_seen": utc_text(seen.first),
                "last_seen": utc_text(seen.last),
                "now": seen.now,
                "reach": tried.reach.value if tried else None,
                "why": (tried.why if tried else "") or None,
            }
        )
    families = {"ipv4": one.state(ipv6=False), "ipv6": one.state(ipv6=True)}
    facts = {"well": one.well, "ours": one.passage.ours, "addresses": addresses, "unresolved": one.unresolved or None}
    return _passage(one.passage) | families | facts


def _passage(passage: Passage) -> dict[str, Any]:
    return {"host": passage.host, "port": passage.port, "protocol": passage.protocol, "why": list(passage.whys)}


def _lines(found: Sequence[Found], inwards: Sequence[Passage]) -> list[str]:
    rows = [row for one in found for row in _rows(one)]
    head = ["HOST", "PORT", "ADDRESS", "TTL", "SEEN", "FROM HERE", "FOR"]
    lines = ["OUTWARDS", *table(head, rows)] if rows else ["OUTWARDS: nothing"]
    if inwards:
        rows = [[one.host, f"{one.port}/{one.protocol}", "anywhere", ", ".join(one.whys)] for one in inwards]
        lines += ["", "INWARDS", *table(["HOST", "PORT", "FROM", "FOR"], rows)]
    return [*lines, ""]


def _rows(one: Found) -> list[list[str]]:
    """A row for each address, or the one that says why there is none."""
    port, whys = f"{one.passage.port}/{one.passage.protocol}", ", ".join(one.passage.whys)
    if not one.sightings:
        return [[one.passage.host, port, "-", "-", "-", f"no address: {one.unresolved}", whys]]
    reached = dict(one.reached)
    rows = []
    for seen in one.sightings:
        tried = reached.get(seen.address)
        how = (
            "not tried: not seen now" if tried is None else tried.reach.value + (f": {tried.why}" if tried.why else "")
        )
        ttl = "-" if seen.ttl is None else f"{seen.ttl} s"
        when = "now" if seen.first == seen.last else f"{utc_text(seen.first)} to {utc_text(seen.last)}"
        rows.append([one.passage.host, port, seen.address, ttl, when, how, whys])
    return rows
