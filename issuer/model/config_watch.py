"""The tables of issuer.toml about watching: audit, hosts, egress, transparency."""

import base64
import binascii
from ipaddress import ip_address
from urllib.parse import urlsplit

from common.config import boolean, duration, integer, list_of, nonempty, optional, sections, setting, shown, text
from common.dataclasses import dataclass
from common.names import parse_dns_name


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """*imported_days*: an imported certificate that ends within so many days is critical. *revocation*: are lists and
    responders of the CA asked?"""

    imported_days: int = setting(integer(0, 3650), 3)
    revocation: bool = setting(boolean, True)


@dataclass(frozen=True, slots=True)
class HostSettings:
    """When a host that reports is not well, in seconds: without a report, and with another certificate than the present
    one. After *forget* without a report a host was taken down."""

    silent: int = setting(duration(3600), 3 * 86400)
    behind: int = setting(duration(0), 2 * 86400)
    forget: int = setting(duration(3600), 30 * 86400)


@dataclass(frozen=True, slots=True)
class EgressSettings:
    """How the firewall before this machine follows names, in seconds."""

    firewall_resolves_every: int = setting(duration(1), 300)


def _log_key(value: object) -> bytes:
    """A public key in base64, as lists of logs have it."""
    try:
        return base64.b64decode(nonempty(value), validate=True)
    except binascii.Error as error:
        raise ValueError(f"must be the public key of the log in base64, not {shown(value)}") from error


def _web_url(value: object) -> str:
    url = nonempty(value)
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"must be a URL of https or http, not {shown(value)}")
    return url


def _search_url(value: object) -> str:
    """Nothing signs what a search answers, as a log's own answers are signed."""
    url = _web_url(value)
    if url.startswith("http://") and not _is_loopback(urlsplit(url).hostname or ""):
        raise ValueError(f"must be a URL of https, not {shown(value)}: anybody on the way could hide certificates")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class LogOfTransparency:
    """One ``[[transparency.log]]``: a static log. *url*: the monitoring prefix; *origin*: the submission prefix without
    a scheme, "" for that of *url*; *key*: DER. *from_start*: the first look begins at the first entry."""

    url: str = setting(_web_url)
    key: bytes = setting(_log_key)
    origin: str = setting(text, "")
    from_start: bool = setting(boolean, False)

    @property
    def origin_line(self) -> str:
        """As it stands in the log's checkpoint."""
        return self.origin or self.url.partition("://")[2].rstrip("/")


@dataclass(frozen=True, slots=True)
class TransparencySettings:
    """Where `transparency` looks; nowhere by default. *domains*: beside the names that are enrolled, all at and below
    these are ours."""

    domains: tuple[str, ...] = setting(list_of(lambda value: parse_dns_name(text(value))), ())
    crt_sh: str = setting(optional(_search_url, ""), "")
    crt_sh_pause: int = setting(duration(0), 5)  # seconds between two questions
    log: tuple[LogOfTransparency, ...] = sections(LogOfTransparency)
