"""Where to look for a served certificate: the forms of a probe target, parsed. Pure.

    https://host[:port]   tls://host:port   imaps:// pop3s:// smtps:// ldaps://   [?connect=ADDRESS[:port]]

``connect`` looks elsewhere than at the host's own address while still asking for the host's name.
"""

import ipaddress
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from common.endpoint import parse_endpoint

DEFAULT_PORTS = {"https": 443, "imaps": 993, "pop3s": 995, "smtps": 465, "ldaps": 636}
STARTTLS_SCHEMES = frozenset({"smtp", "submission", "imap", "pop3", "ldap", "ftp", "postgres", "mysql", "xmpp"})


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """One socket to look at. *server_name* is empty where the host is an address: the caller knows what to ask for."""

    text: str
    host: str
    port: int
    server_name: str
    connect_host: str
    connect_port: int


def parse_target(text: str) -> ProbeTarget:
    """The target in *text*; ValueError with a sentence."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(f"{text!r} is not a probe target: {error}") from error
    if parts.scheme in STARTTLS_SCHEMES:
        raise ValueError(f"{text!r}: STARTTLS ({parts.scheme}://) is not yet supported; direct TLS is: {_known()}")
    if parts.scheme not in {*DEFAULT_PORTS, "tls"}:
        raise ValueError(f"{text!r} is not a probe target: write one of {_known()}")
    if not host or parts.username is not None or parts.path not in {"", "/"} or parts.fragment:
        raise ValueError(f"{text!r} is not a probe target: write {parts.scheme}://host[:port], nothing behind it")
    port = port or DEFAULT_PORTS.get(parts.scheme)
    if port is None:
        raise ValueError(f"{text!r}: tls:// needs a port, as in tls://{host}:443")
    connect_host, connect_port = _connect(text, parts.query, host, port)
    return ProbeTarget(text, host, port, "" if _is_local(host) else host, connect_host, connect_port)


def _connect(text: str, query: str, host: str, port: int) -> tuple[str, int]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    elsewhere = options.pop("connect", None)
    if options or (query and elsewhere is None):
        raise ValueError(f"{text!r}: the only option is ?connect=ADDRESS[:port]")
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


def _known() -> str:
    return ", ".join(f"{scheme}://" for scheme in (*sorted(DEFAULT_PORTS), "tls"))
