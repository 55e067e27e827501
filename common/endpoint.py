"""A host and a port in one text, as the configuration writes them. Pure."""

import re
from ipaddress import ip_address


def parse_endpoint(text: str, default_port: int = 0) -> tuple[str, int]:
    """(host, port) in "host", "host:port", "[v6]", "[v6]:port" or a bare IPv6 address. Raises ValueError with a
    sentence, also for a missing port if *default_port* is 0."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else rest and "malformed"
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, ""
    if not re.fullmatch(r"[^\s/?#@\[\]]+", host):
        raise ValueError(f"{text!r} names no host")
    if ":" in host:
        ip_address(host)  # its ValueError is a sentence
    number = int(port) if re.fullmatch("[0-9]{1,5}", port) else 0 if port else default_port
    if not 0 < number < 65536:
        raise ValueError(f"{text!r} has a malformed port")
    return host, number
