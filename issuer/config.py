"""issuer.toml as frozen settings. Every default stands here; deploy/issuer.example.toml shows them all."""

from dataclasses import dataclass
from pathlib import Path

from common import config_file
from common.config_file import (
    boolean,
    duration,
    fraction,
    integer,
    list_of,
    nonempty,
    optional_path,
    section,
    sections,
    setting,
    text,
)
from common.names import parse_dns_name


def _directory_url(value: object) -> str:
    url = nonempty(value)
    if not url.startswith("https://"):
        raise ValueError(f"must be an https:// URL (RFC 8555 §6.1), not {value!r}")
    return url


def _zone_name(value: object) -> str:
    return parse_dns_name(nonempty(value))


def _retry_schedule(value: object) -> tuple[int, ...]:
    schedule: tuple[int, ...] = list_of(duration)(value)
    if not schedule or min(schedule) < 1:
        raise ValueError("must name at least one waiting time, none of them zero")
    return schedule


def _server(value: object) -> str:
    """An address, or address:port, [v6]:port; checked for form by the DNS adapter's own parser."""
    return nonempty(value)


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    url: str = setting(nonempty, "sqlite:////var/lib/certfleet/certfleet.db")
    password_file: Path | None = setting(optional_path, None)
    tls_ca: Path | None = setting(optional_path, None)


@dataclass(frozen=True, slots=True)
class AcmeSettings:
    directory: str = setting(_directory_url, "https://acme-v02.api.letsencrypt.org/directory")
    account_key: Path | None = setting(optional_path, None)  # None: account.pem in state_dir
    contact: tuple[str, ...] = setting(list_of(nonempty), ())
    ca_bundle: Path | None = setting(optional_path, None)
    workers: int = setting(integer(1, 256), 8)


@dataclass(frozen=True, slots=True)
class ZoneSettings:
    """One ``[[dns.zone]]``: where the names at and below *name* are updated. Empty means as in ``[dns]``."""

    name: str = setting(_zone_name)
    server: str = setting(text, "")
    port: int = setting(integer(0, 65535), 0)
    tsig_key_file: Path | None = setting(optional_path, None)
    nameservers: tuple[str, ...] = setting(list_of(_server), ())


@dataclass(frozen=True, slots=True)
class DnsSettings:
    server: str = setting(text, "")
    port: int = setting(integer(1, 65535), 53)
    tsig_key_file: Path | None = setting(optional_path, None)
    propagation_timeout: int = setting(duration, 600)  # seconds
    nameservers: tuple[str, ...] = setting(list_of(_server), ())
    resolvers: tuple[str, ...] = setting(list_of(_server), ())
    zone: tuple[ZoneSettings, ...] = sections(ZoneSettings)


@dataclass(frozen=True, slots=True)
class RenewalSettings:
    fraction_left: float = setting(fraction, 0.333)
    days_left: int = setting(integer(0, 3650), 0)
    retry: tuple[int, ...] = setting(_retry_schedule, (60, 600, 3600, 86400))  # seconds
    give_up_alarm: int = setting(integer(1), 10)
    max_run: int = setting(duration, 6 * 3600)  # seconds


@dataclass(frozen=True, slots=True)
class LogSettings:
    syslog: bool = setting(boolean, False)


@dataclass(frozen=True, slots=True)
class Settings:
    state_dir: Path = setting(config_file.path, Path("/var/lib/certfleet"))
    csr_dir: Path = setting(config_file.path, Path("/etc/certfleet/csr"))
    database: DatabaseSettings = section(DatabaseSettings)
    acme: AcmeSettings = section(AcmeSettings)
    dns: DnsSettings = section(DnsSettings)
    renewal: RenewalSettings = section(RenewalSettings)

    @property
    def account_key(self) -> Path:
        return self.acme.account_key or self.state_dir / "account.pem"


def load(file: Path) -> Settings:
    """Settings from *file*; ConfigError with every finding."""
    return config_file.load(Settings, file)
