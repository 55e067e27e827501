"""The addresses outwards as lists that firewalls read. Pure.

| plain | an address a line |
| nftables | two sets in the table `inet filter`, which `nft -f` fills anew |
| pfsense | an address and its description a line, for Firewall > Aliases > Import |
| csf | a line of /etc/csf/csf.allow: `tcp|out|d=443|d=192.0.2.1` (ConfigServer's readme.txt, section 10) |
"""

from collections.abc import Iterator, Sequence

from common.egress.needs import NO_PROMISE, Found, Spot, is_ip

_LONGEST_LINE = 200  # characters; hosts stand at its end
_SET = "certfleet_out"
_FAMILIES = ((4, "ipv4_addr", "ip"), (6, "ipv6_addr", "ip6"))


def listed(found: Sequence[Found], form: str) -> list[str]:
    """The lines of a list in one of :data:`common.egress.FORMATS`."""
    spots = _spots(found)
    if form == "nftables":
        return list(_nftables(spots))
    if form == "pfsense":
        return [f"{address} {', '.join(hosts)}"[:_LONGEST_LINE] for address, hosts in _hosts(found).items()]
    if form == "csf":
        hosts = _hosts(found)
        return [*_comment(), *(_csf(spot, hosts[spot.address]) for spot in spots)]
    return list(_hosts(found))


def _spots(found: Sequence[Found]) -> list[Spot]:
    """Every address, of this look and of those before, with each port."""
    spots = {Spot(seen.address, one.passage.port, one.passage.protocol) for one in found for seen in one.sightings}
    return sorted(spot for spot in spots if is_ip(spot.address))


def _hosts(found: Sequence[Found]) -> dict[str, list[str]]:
    """The hosts of each address, sorted by address."""
    hosts: dict[str, dict[str, None]] = {}
    for one in found:
        for seen in one.sightings:
            hosts.setdefault(seen.address, {})[one.passage.host] = None
    return {address: list(hosts[address]) for address in sorted(hosts) if is_ip(address)}


def _csf(spot: Spot, hosts: Sequence[str]) -> str:
    return f"{spot.protocol}|out|d={spot.port}|d={spot.address} # {', '.join(hosts)}"[:_LONGEST_LINE]


def _comment() -> list[str]:
    return [f"# {sentence}." for sentence in NO_PROMISE.rstrip(".").split(". ")]


def _nftables(spots: Sequence[Spot]) -> Iterator[str]:
    yield from _comment()
    yield "# Rules that let them out, in a chain of the hook output of the table inet filter:"
    for version, _, family in _FAMILIES:
        yield f"#   {family} daddr . meta l4proto . th dport @{_SET}{version} accept"
    yield "add table inet filter"
    for version, kind, _ in _FAMILIES:
        name = f"inet filter {_SET}{version}"
        yield f"add set {name} {{ type {kind} . inet_proto . inet_service; }}"
        yield f"flush set {name}"
        of_family = [spot for spot in spots if (":" in spot.address) == (version == 6)]
        for spot in of_family:
            yield f"add element {name} {{ {spot.address} . {spot.protocol} . {spot.port} }}"
