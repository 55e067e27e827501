"""Where to look for a served certificate: the forms of a probe target, parsed. Pure.

    SCHEME://host[:port][?connect=ADDRESS[:port]][&proxy=v1|v2]

The scheme says whether the service speaks TLS from the first byte (``https://``) or after a request for it in its own
protocol (``smtp://``); each has its usual port but ``tls://``, which needs one. ``connect`` looks elsewhere than at the
host's own address while still asking for the host's name. ``proxy`` begins with a header of the PROXY protocol, for a
service that accepts connections from a load balancer alone.
"""

import ipaddress
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from common.endpoint import parse_endpoint

DIRECT_PORTS = {
    "https": 443,
    "imaps": 993,
    "pop3s": 995,
    "smtps": 465,
    "ldaps": 636,
    "ftps": 990,
    "nntps": 563,
    "xmpps": 5223,
    "radsec": 2083,
}
STARTTLS_PORTS = {
    "smtp": 25,
    "submission": 587,
    "lmtp": 24,
    "imap": 143,
    "pop3": 110,
    "sieve": 4190,
    "ldap": 389,
    "ftp": 21,
    "postgres": 5432,
    "mysql": 3306,
    "xmpp": 5222,
    "nntp": 119,
}
_PORTS = {**DIRECT_PORTS, **STARTTLS_PORTS}
_KNOWN = ", ".join(f"{scheme}://" for scheme in (*_PORTS, "tls"))
_OPTIONS = "the only options are ?connect=ADDRESS[:port] and ?proxy=v1 or v2, with & between two"
_PROXY_HEADERS = ("v1", "v2")


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """One socket to look at. *server_name* is empty where the host is an address: the caller knows what to ask for.
    *proxy*: the version of the PROXY protocol's header, "" for none."""

    text: str
    scheme: str
    host: str
    port: int
    server_name: str
    connect_host: str
    connect_port: int
    proxy: str = ""


def parse_target(text: str) -> ProbeTarget:
    """The target in *text*; ValueError with a sentence."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(f"{text!r} is not a probe target: {error}") from error
    if parts.scheme not in {*_PORTS, "tls"}:
        raise ValueError(f"{text!r} is not a probe target: write one of {_KNOWN}")
    if not host or parts.username is not None or parts.path not in {"", "/"} or parts.fragment:
        raise ValueError(f"{text!r} is not a probe target: write {parts.scheme}://host[:port], nothing behind it")
    port = port or _PORTS.get(parts.scheme)
    if port is None:
        raise ValueError(f"{text!r}: tls:// needs a port, as in tls://{host}:443")
    connect, proxy = _options(text, parts.query)
    connect_host, connect_port = _connect(text, connect, host, port)
    server_name = "" if _is_local(host) else host
    return ProbeTarget(text, parts.scheme, host, port, server_name, connect_host, connect_port, proxy)


def _options(text: str, query: str) -> tuple[str | None, str]:
    """Values of ``connect`` and ``proxy``."""
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    connect, proxy = options.pop("connect", None), options.pop("proxy", "")
    if options or len(pairs) > len(dict(pairs)) or (query and not pairs):
        raise ValueError(f"{text!r}: {_OPTIONS}")
    if proxy not in _PROXY_HEADERS and "proxy" in dict(pairs):
        raise ValueError(f"{text!r}: proxy= must be v1 or v2, the version of the PROXY protocol's header")
    return connect, proxy


def _connect(text: str, elsewhere: str | None, host: str, port: int) -> tuple[str, int]:
    if elsewhere is None:
        return host, port
    try:
        return parse_endpoint(elsewhere, port)
    except ValueError as error:
        raise ValueError(f"{text!r}: connect= must be an address or a host name, with a port or without") from error


def _is_local(host: str) -> bool:
    """Hosts that no certificate of a public CA names, so that their name is not the one to ask for."""
    return host == "localhost" or _is_address(host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
