"""Does every address of a name serve its challenge (RFC 8555 §8.3), or the address that is itself a name (RFC 8738)?

Redirects are followed as a CA follows them.
"""

import urllib.parse
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import structlog

from common.names import is_address, parse_dns_name, parse_name
from issuer.dns.asking import NoAnswer
from issuer.model.acme import Laggard
from issuer.webroot.fetch import NoHttpAnswer, Url, look, reachable

log = structlog.get_logger()
_NO_ADDRESS = "add A or AAAA records that the CA can see; or validate it by dns-01, without a webroot"
_NOT_PUBLIC = "the redirect leads to an address that is not public, which a public CA does not follow"
_PUBLIC = "let it lead to public addresses; a private CA whose [acme] ca_bundle is configured may follow it elsewhere"
_MOST_REDIRECTS = 10
_MOST_LOOKS = 50  # redirects of a name with many addresses may fan out
_LONGEST_LOCATION = 2000
_NAT64 = ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ip_network("2000::/3")  # no other IPv6 address is on the internet (RFC 4291 §2.4)
_PROTOCOLS = ip_network("192.0.0.0/24")  # a cloud's metadata; global to the Python of Debian 12
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Net:
    """*addresses*: the addresses of a name; raises NoAnswer. The ports differ from the default for test CAs only.

    *look_seconds*: the time limit of one request to one address. *inside*: redirects may lead to addresses that are not
    public, as a private CA follows them. A public one does not, and our look would reach what it does not: otherwise
    they lead there only from such an address of the name to another of its own.
    """

    addresses: Callable[[str], Sequence[str]]
    http_port: int = 80
    https_port: int = 443
    look_seconds: float = 10.0  # as Let's Encrypt has it
    inside: bool = False


@dataclass(frozen=True, slots=True)
class _Target:
    """A URL at one address. *way*: the redirects that lead there, ending with this URL. *begin*: the label of the first
    address of that way. *label*: names this address in a laggard."""

    way: tuple[Url, ...]
    address: str
    begin: str
    label: str

    @property
    def url(self) -> Url:
        return self.way[-1]


def not_serving(name: str, token: str, content: str, net: Net) -> list[Laggard]:
    """A laggard for each address of *name* that does not serve *content*; [] when all do."""
    laggards: list[Laggard] = []
    start = Url("http", name, net.http_port, f"/.well-known/acme-challenge/{token}")
    targets = deque(_targets((start,), "", name, net, laggards))
    known, looks, own = {start}, 0, {target.address for target in targets}
    while targets:
        target = targets.popleft()
        looks += 1
        if looks > _MOST_LOOKS:
            return [*laggards, Laggard(name, f"its redirects lead to more than {_MOST_LOOKS} places")]
        outcome = _look(target, content, net)
        if isinstance(outcome, str):
            laggards += [Laggard(target.label, outcome)] if outcome else []
        elif outcome in target.way:
            laggards.append(Laggard(target.label, f"redirects in a circle, to {outcome}"))
        elif len(target.way) > _MOST_REDIRECTS:
            laggards.append(Laggard(target.label, f"more than {_MOST_REDIRECTS} redirects, the last one to {outcome}"))
        elif outcome not in known:
            known.add(outcome)
            label = f"{target.begin}, redirected to {outcome.scheme}://{outcome.authority}"
            for found in _targets((*target.way, outcome), target.begin, label, net, laggards):
                known_inside = found.address in own  # whoever has the name may give it any address of our network
                if net.inside or is_public(found.address) or (known_inside and not is_public(target.address)):
                    targets.append(found)
                elif not known_inside:
                    laggards.append(Laggard(found.label, _NOT_PUBLIC, _PUBLIC))
    return laggards


def is_public(address: str) -> bool:
    """Does *address* belong to the internet, as far as one can tell? An IPv6 address that stands for one of IPv4, as
    behind NAT64 (RFC 6052) or by 6to4 (RFC 3056), is judged by that."""
    found: IPv4Address | IPv6Address | None = ip_address(address)
    if isinstance(found, IPv6Address):
        behind = IPv4Address(found.packed[-4:]) if found in _NAT64 else found.ipv4_mapped or found.sixtofour
        found = behind or (found if found in _GLOBAL_UNICAST else None)
    return found is not None and found.is_global and not found.is_multicast and found not in _PROTOCOLS


def _targets(way: tuple[Url, ...], begin: str, label: str, net: Net, laggards: list[Laggard]) -> list[_Target]:
    """A target for each address of the last URL of *way* that this machine has a route to; appends to *laggards*."""
    url = way[-1]
    try:
        addresses = [url.host] if is_address(url.host) else net.addresses(url.host)
    except NoAnswer as error:
        laggards.append(Laggard(label, str(error)))
        return []
    if not addresses:
        laggards.append(Laggard(label, "it has no address", _NO_ADDRESS))
        return []
    in_reach = [address for address in addresses if reachable(address, url.port)]
    if len(in_reach) < len(addresses):
        # this machine may lack an address family; the other addresses decide
        log.warning("webserver.no_route", name=url.host, addresses=sorted(set(addresses) - set(in_reach)))
    if not in_reach:
        laggards.append(Laggard(label, "this machine has no route to any of its addresses"))
    labels = {address: f"{label} at {address}" for address in in_reach}
    return [_Target(way, address, begin or labels[address], labels[address]) for address in in_reach]


def _look(target: _Target, content: str, net: Net) -> Url | str:
    """ "" if *target* serves *content*, a phrase with the reason if not, or the URL that it redirects to."""
    try:
        answer = look(target.url, target.address, net.look_seconds)
    except NoHttpAnswer as error:
        return str(error)
    if answer.status in _REDIRECTS:
        try:
            return _followed(target.url, answer.location, net)
        except ValueError as error:
            return f"its redirect is not one that a CA follows: {error}"
    if answer.status != 200:
        return f"HTTP {answer.status}"
    if answer.body.rstrip() != content.encode():  # RFC 8555 §8.3: white space at the end is ignored
        return f"HTTP 200 with other content ({len(answer.body)} bytes)"
    return ""


def _followed(url: Url, location: str, net: Net) -> Url:
    """The URL of a Location header. Raises ValueError if a CA would not follow it."""
    if not 0 < len(location) <= _LONGEST_LOCATION or not location.isascii() or not location.isprintable():
        raise ValueError("the Location header is missing or malformed")
    parts = urllib.parse.urlsplit(urllib.parse.urljoin(str(url), location))
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"the scheme {parts.scheme or 'is missing'}")
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    if port not in (80, 443, net.http_port, net.https_port):
        raise ValueError(f"port {port}")
    parse_host = parse_name if is_address(url.host) else parse_dns_name  # CAs follow none from a name to an address
    target = urllib.parse.quote(parts.path or "/", safe="/%:=&?~#+!$,;'@()*[]")
    query = f"?{urllib.parse.quote(parts.query, safe='/%:=&?~+!$,;@()*[]')}" if parts.query else ""
    return Url(parts.scheme, parse_host(parts.hostname or ""), port, target + query)
