"""The texts BIND reads: zone files and named.conf. Pure: what to write, not where or when."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dns.zone


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone of a primary. With grants it takes updates, and its file belongs to the server from then on."""

    name: str
    text: str
    serial: int
    grants: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The file's name in the server's folder."""
        return f"{self.name or 'root'}.db"

    @property
    def dynamic(self) -> bool:
        """Whether the zone takes updates, so that its serial moves by itself."""
        return bool(self.grants)


@dataclass(frozen=True, slots=True)
class Settings:
    """What named.conf has to say besides the zones."""

    folder: Path
    address: str
    port: int
    notify: tuple[tuple[str, int], ...] = ()
    notify_delay: int = 0
    keys: tuple[Path, ...] = field(default=())
    address6: str = ""
    rndc_port: int = 0
    query_log: bool = False


def normal(name: str) -> str:
    """A zone's name as these classes spell it: lower case, no dot at the end."""
    return name.rstrip(".").lower()


def zone_text(name: str, address: str, records: Sequence[str], serial: int) -> str:
    """A zone file: SOA, the records as they were given, and a name server when they name none.

    Negative answers and everything without a TTL of its own may be kept for one second only, so that no test waits
    for a cache. Secondaries retry fast but refresh slowly: what they learn, they learn by NOTIFY.
    """
    origin = f"{name}."
    server = "ns." if not name else f"ns.{origin}"
    lines = ["$TTL 1", f"$ORIGIN {origin}", f"@ SOA {server} hostmaster.{server} {serial} 86400 1 864000 1", *records]
    text = "\n".join(lines) + "\n"
    parsed = dns.zone.from_text(text, origin=origin, relativize=False, check_origin=False)
    if parsed.get_rdataset(origin, "NS") is None:
        text += f"@ NS {server}\n{server} A {address}\n"
    return text


def default_policy(name: str) -> list[str]:
    """The names a certificate's key may write in a zone: the challenge name, or the zone that is one."""
    return [name if name.startswith("_acme-challenge.") else f"_acme-challenge.{name}"]


def grants(key_name: str, owners: Sequence[str]) -> tuple[str, ...]:
    """The lines of an update-policy: this key, these names, TXT records only."""
    return tuple(f'grant "{key_name}" name {owner.rstrip(".")}. TXT;' for owner in owners)


def primary_statement(zone: Zone) -> str:
    """The zone statement of the server where the zone is written."""
    policy = f" update-policy {{ {' '.join(zone.grants)} }};" if zone.dynamic else ""
    quiet = " notify no;" if not zone.name else ""
    return f'zone "{zone.name or "."}" {{ type primary; file "{zone.file}";{policy}{quiet} }};'


def secondary_statement(zone: Zone, primary: Settings) -> str:
    """The zone statement of a server that copies the zone."""
    source = f"{primary.address} port {primary.port};"
    return f'zone "{zone.name}" {{ type secondary; primaries {{ {source} }}; file "{zone.file}"; }};'


def named_conf(settings: Settings, statements: Sequence[str]) -> str:
    """A whole named.conf that shares nothing with the machine's own BIND.

    The rates are raised because BIND's own (20 NOTIFYs and refreshes a second) make a hundred zones take seconds.
    """
    also = " ".join(f"{address} port {port};" for address, port in settings.notify)
    includes = [f'include "{key}";' for key in settings.keys]
    told = " ".join(f'"{key.stem}";' for key in settings.keys)
    inet = f"inet 127.0.0.1 port {settings.rndc_port} allow {{ 127.0.0.1; }} keys {{ {told} }};"
    return "\n".join(
        [
            f"controls {{ {inet if settings.rndc_port else ''} }};",
            "options {",
            f'  directory "{settings.folder}"; pid-file none; session-keyfile none; lock-file none;',
            f"  listen-on port {settings.port} {{ {settings.address}; }};",
            f"  listen-on-v6 port {settings.port} {{ {settings.address6 or 'none'}; }};",
            f"  query-source address {settings.address}; notify-source {settings.address};",
            f"  transfer-source {settings.address}; tcp-clients 500;",
            f"  querylog {'yes' if settings.query_log else 'no'};",
            "  recursion no; dnssec-validation no; empty-zones-enable no; minimal-responses no;",
            "  check-integrity no; check-names primary ignore;",
            "  allow-query { any; }; allow-transfer { 127.0.0.0/8; };",
            f"  notify {'explicit' if also else 'no'}; also-notify {{ {also} }}; notify-delay {settings.notify_delay};",
            "  notify-rate 1000; startup-notify-rate 1000; serial-query-rate 1000;",
            "  transfers-in 100; transfers-per-ns 100; min-retry-time 1;",
            "};",
            *includes,
            *statements,
            "",
        ]
    )
