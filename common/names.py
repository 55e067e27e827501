"""Names as certificates carry them (RFC 5280 §4.2.1.6): DNS names (RFC 1123) in lower case, with A-labels and an
optional wildcard; IP addresses as text (RFC 5952 for IPv6), as ACME writes them (RFC 8738 §3)."""

import re
from collections.abc import Sequence
from ipaddress import ip_address

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


def parse_dns_name(text: str) -> str:
    """*text* in canonical form, "www.example.com" or "*.example.com". Raises ValueError with a sentence."""
    name = text.strip().lower().removesuffix(".")
    if not text.strip().isascii():  # before it is in lower case: the Kelvin sign becomes a k
        raise ValueError(f"{text!r} is not in ASCII: give the A-label form, the one that starts with xn--")
    base = name.removeprefix("*.")
    if len(name) > 253 or "." not in base:
        raise ValueError(f"{text!r} is not a fully qualified DNS name")
    for label in base.split("."):
        if not _LABEL.fullmatch(label):
            raise ValueError(f"{text!r} is not a DNS name: the label {label!r} is malformed")
    if base.rsplit(".", 1)[1].isdigit():
        raise ValueError(f"{text!r} is an IP address or ends in a number, not a DNS name")
    return name


def parse_name(text: str) -> str:
    """*text* as a DNS name or an IP address in canonical form. Raises ValueError with a sentence."""
    try:
        address = ip_address(text.strip())
    except ValueError:
        return parse_dns_name(text)
    if "%" in str(address):
        raise ValueError(f"{text!r} is an address of one link; no certificate can name it")
    return str(address)


def is_address(name: str) -> bool:
    """Is a canonical name an IP address? No DNS name ends in a number or has a colon."""
    return ":" in name or name.rpartition(".")[2].isdigit()


def common_name(names: Sequence[str]) -> tuple[str, ...]:
    """The common name of a signing request for *names*: the first, unless it is an address or too long (RFC 5280,
    ub-common-name)."""
    return tuple(name for name in names[:1] if len(name) <= 64 and not is_address(name))


def in_url(name: str) -> str:
    """A canonical name as the host of a URL (RFC 3986 §3.2.2)."""
    return f"[{name}]" if ":" in name else name


def parse_certificate_name(text: str) -> str:
    """The same for a name as it stands in a signing request, where nothing at its ends can be taken off. Raises
    ValueError with a sentence."""
    name = parse_dns_name(text)
    if name != text.lower():
        what = "ends in a dot" if text.endswith(".") else "has a blank at its ends"
        raise ValueError(f"{text!r} {what}, which CAs refuse")
    return name


def covers(pattern: str, name: str) -> bool:
    """Does a certificate name cover a host name? A wildcard stands for exactly one label (RFC 9525 §6.3); an address
    covers itself."""
    if pattern == name:
        return True
    return pattern.startswith("*.") and name.partition(".")[2] == pattern[2:] and not name.startswith("*.")


def redundant(names: Sequence[str]) -> list[tuple[str, str]]:
    """(name, wildcard) for each of *names* that a wildcard among them covers."""
    wildcards = {name for name in names if name.startswith("*.")}
    others = [(name, _wildcard_over(name)) for name in names if name not in wildcards]
    return [(name, pattern) for name, pattern in others if pattern in wildcards]


def uncovered(wanted: frozenset[str], offered: frozenset[str]) -> list[str]:
    """The names in *wanted* that no name in *offered* covers, sorted. Each is looked up, and not compared with all:
    strangers write certificates and requests with thousands."""
    missing = wanted - offered
    return sorted(name for name in missing if name.startswith("*.") or _wildcard_over(name) not in offered)


def _wildcard_over(name: str) -> str:
    """The one wildcard that :func:`covers` *name*, which is none."""
    return f"*.{name.partition('.')[2]}"
