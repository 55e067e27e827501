"""issuer.toml as frozen settings. Every default stands here and in config_watch.py; deploy/issuer.example.toml shows
them all."""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from common import dataclasses
from common.config import (
    boolean,
    duration,
    fraction,
    integer,
    list_of,
    nonempty,
    optional,
    optional_path,
    path,
    section,
    sections,
    setting,
    shown,
    text,
)
from common.dataclasses import dataclass
from common.endpoint import parse_endpoint
from common.mail_settings import MailSettings
from common.names import parse_dns_name
from issuer.model.config_watch import AuditSettings, EgressSettings, HostSettings, TransparencySettings
from issuer.model.limits import CaLimits, Limit, limits_of, parse_limit


def _directory_url(value: object) -> str:
    url = nonempty(value)
    try:
        parts = urlsplit(url)
        fits = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"must be an https:// URL (RFC 8555 §6.1), not {shown(value)}")
    return url


def _zone_name(value: object) -> str:
    """A suffix of DNS names, which may hold underscores unlike host names: "_acme-challenge.www.example.com"."""
    name = nonempty(value).strip().lower().removesuffix(".")
    parse_dns_name(re.sub(r"(^|\.)_", r"\1", name))
    return name


def _retry_schedule(value: object) -> tuple[int, ...]:
    schedule: tuple[int, ...] = list_of(duration(1))(value)
    if not schedule:
        raise ValueError("must name at least one waiting time")
    return schedule


def _listen(value: object) -> str:
    try:
        ip_address(parse_endpoint(text(value))[0])
    except ValueError as error:
        problem = f'must be an IP address and a port like "127.0.0.1:9402", or "" for none, not {shown(value)}'
        raise ValueError(problem) from error
    return text(value)


def _log(value: object) -> str:
    """A text, for a log that changes with each request is none of the files that are watched for changes."""
    return str(path(value))


def _log_form(value: object) -> str:
    if value not in ("", *_LOG_FORMS):
        raise ValueError(f'must be one of {", ".join(_LOG_FORMS)} or "", not {shown(value)}')
    return str(value)


def _on_ca_change(value: object) -> str:
    if value not in (NOTIFY, AWAIT_APPROVAL):
        raise ValueError(f'must be "{NOTIFY}" or "{AWAIT_APPROVAL}", not {shown(value)}')
    return str(value)


NOTIFY, AWAIT_APPROVAL = "notify", "hold"
_LOG_FORMS = ("plain", "json", "logfmt", "console")
_limit = optional(parse_limit, None)  # None: as the CA publishes it
_STAGING = {"https://acme-v02.api.letsencrypt.org/directory": "https://acme-staging-v02.api.letsencrypt.org/directory"}
_servers = list_of(nonempty)  # "address", "address:port" or "[v6]:port"; the DNS adapter checks the form


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    url: str = setting(nonempty, "sqlite:////var/lib/certfleet/certfleet.db")
    password_file: Path | None = setting(optional_path, None)
    tls_ca: Path | None = setting(optional_path, None)


@dataclass(frozen=True, slots=True)
class CaSettings:
    """One certification authority: ``[acme]``, and each ``[[acme.fallback]]``."""

    directory: str = setting(_directory_url, "https://acme-v02.api.letsencrypt.org/directory")
    staging: str = setting(optional(_directory_url, ""), "")  # "": as the CA publishes it
    account_key: Path | None = setting(optional_path, None)  # None: account.pem in state_dir
    contact: tuple[str, ...] = setting(list_of(nonempty), ())
    ca_bundle: Path | None = setting(optional_path, None)
    extra_names: bool = setting(boolean, False)
    profile: str = setting(text, "")
    profile_required: bool = setting(boolean, False)
    preferred_chain: str = setting(text, "")
    eab_kid: str = setting(text, "")
    eab_hmac_file: Path | None = setting(optional_path, None)
    workers: int = setting(integer(1, 256), 8)
    limit_new_orders: Limit | None = setting(_limit, None)
    limit_per_domain: Limit | None = setting(_limit, None)
    limit_per_name_set: Limit | None = setting(_limit, None)

    @property
    def staging_directory(self) -> str:
        """The CA's directory for tests; "" where none is known."""
        return self.staging or _STAGING.get(self.directory, "")

    @property
    def limits(self) -> CaLimits:
        """The CA's published limits, where the configuration sets no other."""
        known = limits_of(self.directory)
        return dataclasses.replace(
            known,
            new_orders=self.limit_new_orders or known.new_orders,
            per_domain=self.limit_per_domain or known.per_domain,
            per_name_set=self.limit_per_name_set or known.per_name_set,
        )

    def __post_init__(self) -> None:
        if bool(self.eab_kid) != (self.eab_hmac_file is not None):
            raise ValueError("eab_kid and eab_hmac_file belong together: give both or none")
        if self.profile_required and not self.profile:
            raise ValueError("profile_required is true but profile is empty")


@dataclass(frozen=True, slots=True)
class AcmeSettings(CaSettings):
    fallback: tuple[CaSettings, ...] = sections(CaSettings)

    def __post_init__(self) -> None:
        CaSettings.__post_init__(self)
        directories = [self.directory, *(ca.directory for ca in self.fallback)]
        if len(set(directories)) < len(directories):
            raise ValueError("each CA must have a directory of its own: one stands twice")


@dataclass(frozen=True, slots=True)
class ZoneSettings:
    """One ``[[dns.zone]]``: where the names at and below *name* are updated. Empty means as in ``[dns]``."""

    name: str = setting(_zone_name)
    server: str = setting(text, "")
    port: int = setting(integer(0, 65535), 0)
    tsig_key_file: Path | None = setting(optional_path, None)
    nameservers: tuple[str, ...] = setting(_servers, ())
    sign_queries: bool | None = setting(boolean, None)


@dataclass(frozen=True, slots=True)
class DnsSettings:
    server: str = setting(text, "")
    port: int = setting(integer(1, 65535), 53)
    tsig_key_file: Path | None = setting(optional_path, None)
    propagation_timeout: int = setting(duration(1), 600)  # seconds
    nameservers: tuple[str, ...] = setting(_servers, ())
    resolvers: tuple[str, ...] = setting(_servers, ())
    root_servers: tuple[str, ...] = setting(_servers, ())  # (): IANA's
    sign_queries: bool = setting(boolean, False)
    query_logs: tuple[str, ...] = setting(list_of(_log), ())
    zone: tuple[ZoneSettings, ...] = sections(ZoneSettings)

    def __post_init__(self) -> None:
        names = [zone.name for zone in self.zone]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"[[dns.zone]] stands twice for {', '.join(twice)}")


@dataclass(frozen=True, slots=True)
class WebrootSettings:
    """http-01: how other machines' webroots are reached, and how web servers are looked at before the CA is asked."""

    ssh_key_file: Path | None = setting(optional_path, None)
    ssh_host_keys: Path | None = setting(optional_path, None)
    fetch: bool = setting(boolean, True)
    fall_back_to_dns: bool = setting(boolean, False)
    access_logs: tuple[str, ...] = setting(list_of(_log), ())
    propagation_timeout: int = setting(duration(1), 60)  # seconds
    http_port: int = setting(integer(1, 65535), 80)  # other ports are for test CAs
    https_port: int = setting(integer(1, 65535), 443)


@dataclass(frozen=True, slots=True)
class RenewalSettings:
    fraction_left: float = setting(fraction, 0.333)
    days_left: int = setting(integer(0, 3650), 0)
    retry: tuple[int, ...] = setting(_retry_schedule, (60, 600, 3600, 86400))  # seconds
    give_up_alarm: int = setting(integer(1), 10)
    give_up_after: int = setting(duration(0), 0)  # seconds past the end; 0: never
    on_ca_change: str = setting(_on_ca_change, NOTIFY)  # the first certificate from another CA
    hold_for: int = setting(duration(0), 3 * 86400)  # seconds; 0: until somebody approves, or life gets short
    max_run: int = setting(duration(0), 6 * 3600)  # seconds


@dataclass(frozen=True, slots=True)
class NotifySettings(MailSettings):
    """The people who are told about failures and recoveries, and the mail server. Without recipients there is no
    mail."""

    syslog: bool = setting(boolean, False)


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    listen: str = setting(optional(_listen, ""), "127.0.0.1:9402")  # "": no /healthz, no /metrics


@dataclass(frozen=True, slots=True)
class LogSettings:
    syslog: bool = setting(boolean, False)
    form: str = setting(_log_form, "")  # "": console on a terminal, JSON elsewhere


def _paths(value: object) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _paths(part)


@dataclass(frozen=True, slots=True)
class Settings:
    state_dir: Path = setting(path, Path("/var/lib/certfleet"))
    csr_dir: Path = setting(path, Path("/etc/certfleet/csr"))
    database: DatabaseSettings = section(DatabaseSettings)
    acme: AcmeSettings = section(AcmeSettings)
    dns: DnsSettings = section(DnsSettings)
    webroot: WebrootSettings = section(WebrootSettings)
    renewal: RenewalSettings = section(RenewalSettings)
    audit: AuditSettings = section(AuditSettings)
    notify: NotifySettings = section(NotifySettings)
    hosts: HostSettings = section(HostSettings)
    egress: EgressSettings = section(EgressSettings)
    daemon: DaemonSettings = section(DaemonSettings)
    transparency: TransparencySettings = section(TransparencySettings)
    log: LogSettings = section(LogSettings)

    def account_key(self, ca: CaSettings) -> Path:
        return ca.account_key or self.state_dir / "account.pem"

    @property
    def files(self) -> frozenset[Path]:
        """Every file whose content is read once and kept in memory: keys, passwords, CA bundles."""
        named = {*map(self.account_key, self.authorities), *_paths(dataclasses.astuple(self))}
        return frozenset(named - {self.state_dir, self.csr_dir})

    @property
    def authorities(self) -> tuple[CaSettings, ...]:
        """Every CA in the order in which they are tried."""
        return (self.acme, *self.acme.fallback)
