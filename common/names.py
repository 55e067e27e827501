"""DNS names as certificates carry them (RFC 5280 §4.2.1.6, RFC 1123): lower case, A-labels, an optional wildcard."""

import re
from collections.abc import Sequence

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


def parse_dns_name(text: str) -> str:
    """*text* in canonical form, "www.example.com" or "*.example.com". Raises ValueError with a sentence."""
    name = text.strip().lower().removesuffix(".")
    if not name.isascii():
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


def parse_certificate_name(text: str) -> str:
    """The same for a name as it stands in a signing request, where nothing at its ends can be taken off. Raises
    ValueError with a sentence."""
    name = parse_dns_name(text)
    if name != text.lower():
        what = "ends in a dot" if text.endswith(".") else "has a blank at its ends"
        raise ValueError(f"{text!r} {what}, which CAs refuse")
    return name


def covers(pattern: str, name: str) -> bool:
    """Does a certificate name cover a host name? A wildcard stands for exactly one label (RFC 9525 §6.3)."""
    if pattern == name:
        return True
    return pattern.startswith("*.") and name.partition(".")[2] == pattern[2:] and not name.startswith("*.")


def redundant(names: Sequence[str]) -> list[tuple[str, str]]:
    """(name, wildcard) for each of *names* that a wildcard among them covers."""
    wildcards = [name for name in names if name.startswith("*.")]
    return [(name, pattern) for name in names for pattern in wildcards if name != pattern and covers(pattern, name)]


def uncovered(wanted: frozenset[str], offered: frozenset[str]) -> list[str]:
    """Those of *wanted* that no name in *offered* covers, sorted."""
    return sorted(name for name in wanted if not any(covers(pattern, name) for pattern in offered))
