"""Where to look for a served certificate: the forms of a probe target, parsed. Pure.

    SCHEME://host[:port][?connect=ADDRESS[:port]][&proxy=v1|v2]
    radius://host[:port]?secret_file=/PATH[&identity=NAME][&method=peap|ttls|tls][&connect=ADDRESS[:port]]

The scheme says whether the service speaks TLS from the first byte (``https://``) or after a request for it in its own
protocol (``smtp://``). Each scheme has its usual port, except ``tls://``, which needs one. ``connect`` looks elsewhere
than at the host's own address while still asking for the host's name. ``proxy`` begins with a header of the PROXY
protocol, for a service that accepts connections from a load balancer alone. A ``radius`` server shows its certificate
during a login by EAP, and only to a client with which it shares a secret.
"""

from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

from common.dataclasses import dataclass
from common.endpoint import parse_endpoint
from common.names import is_address

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
EAP_TYPES = {"peap": 25, "ttls": 21, "tls": 13}  # the methods with TLS, with IANA's numbers; the first is tried first
_RADIUS = "radius"
_PORTS = {**DIRECT_PORTS, **STARTTLS_PORTS, _RADIUS: 1812}
_KNOWN = ", ".join(f"{scheme}://" for scheme in (*_PORTS, "tls"))
_OPTIONS = ("connect", "proxy"), "?connect=ADDRESS[:port] and ?proxy=v1 or v2, with & between two"
_RADIUS_OPTIONS = (
    ("connect", "secret_file", "identity", "method"),
    "?secret_file=/PATH, identity=NAME, method=peap, ttls or tls, and connect=ADDRESS[:port], with & between two",
)
_PROXY_HEADERS = ("v1", "v2")
_FILE = "secret_file=/PATH"
_LONGEST_IDENTITY = 253  # bytes: User-Name (RFC 2865 §5.1)


@dataclass(frozen=True, slots=True)
class EapLogin:
    """A login by EAP. *secret_file* holds the secret that the server shares with this host; *identity*: the name that
    is sent in clear; *method*: one of EAP_TYPES, "" for the one that the server prefers."""

    secret_file: Path
    identity: str
    method: str


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """One socket to look at. *server_name*: the name to ask for; empty for localhost and for an address, where the
    caller knows it. *proxy*: the version of the PROXY protocol's header, "" for none; *login*: of radius:// alone."""

    text: str
    scheme: str
    host: str
    port: int
    server_name: str
    connect_host: str
    connect_port: int
    proxy: str = ""
    login: EapLogin | None = None


def parse_target(text: str) -> ProbeTarget:
    """The target in *text*. Raises ValueError with a sentence."""
    try:
        parts = urlsplit(text)
        at, port = parts.hostname or "", parts.port
        at = at if at.isascii() else at.encode("idna").decode("ascii")
    except ValueError as error:
        raise ValueError(f"{text!r} is not a probe target: {error}") from error
    host = at.removesuffix(".")  # which keeps a resolver from trying it in other domains, and is in no certificate
    if parts.scheme not in {*_PORTS, "tls"}:
        raise ValueError(f"{text!r} is not a probe target: write one of {_KNOWN}")
    if not host or parts.username is not None or parts.path not in {"", "/"} or parts.fragment:
        raise ValueError(f"{text!r} is not a probe target: write {parts.scheme}://host[:port], nothing behind it")
    port = port or _PORTS.get(parts.scheme)
    if port is None:
        raise ValueError(f"{text!r}: tls:// needs a port, as in tls://{host}:443")
    options = _options(parts)
    connect_host, connect_port = _connect(text, options.get("connect"), at, port)
    proxy, login = options.get("proxy", ""), _login(text, options) if parts.scheme == _RADIUS else None
    if proxy not in _PROXY_HEADERS and "proxy" in options:
        raise ValueError(f"{text!r}: proxy= must be v1 or v2, the version of the PROXY protocol's header")
    # SNI carries no address (RFC 6066 §3), and no certificate of a public CA names localhost
    server_name = "" if host == "localhost" or is_address(host) else host
    return ProbeTarget(text, parts.scheme, host, port, server_name, connect_host, connect_port, proxy, login)


def _options(parts: SplitResult) -> dict[str, str]:
    """The options of a target, by name. Raises ValueError with a sentence."""
    pairs = parse_qsl(parts.query.replace("+", "%2B"), keep_blank_values=True)  # a user's name may have a + in it
    options = dict(pairs)
    if parts.scheme == _RADIUS and "secret" in options:  # never with the text, which holds it
        raise ValueError(f"radius://{parts.netloc}: write the secret into a file of its own, and name that: {_FILE}")
    known, sentence = _RADIUS_OPTIONS if parts.scheme == _RADIUS else _OPTIONS
    if not options.keys() <= set(known) or len(pairs) > len(options) or (parts.query and not pairs):
        raise ValueError(f"{parts.geturl()!r}: the only options are {sentence}")
    return options


def _login(text: str, options: dict[str, str]) -> EapLogin:
    secret_file, method = Path(options.get("secret_file", "")), options.get("method", "")
    identity = options.get("identity", "anonymous")
    if not secret_file.is_absolute():
        raise ValueError(f"{text!r}: radius:// needs the secret that the server shares with this host: {_FILE}")
    if method not in EAP_TYPES and "method" in options:
        raise ValueError(f"{text!r}: method= must be one of {', '.join(EAP_TYPES)}; without it, the server chooses")
    if not 0 < len(identity.encode()) <= _LONGEST_IDENTITY or not identity.isprintable():
        raise ValueError(f"{text!r}: identity= must be a name of at most {_LONGEST_IDENTITY} bytes, as a user has one")
    return EapLogin(secret_file, identity, method)


def _connect(text: str, elsewhere: str | None, host: str, port: int) -> tuple[str, int]:
    if elsewhere is None:
        return host, port
    try:
        return parse_endpoint(elsewhere, port)
    except ValueError as error:
        raise ValueError(f"{text!r}: connect= must be an address or a host name, with a port or without") from error
