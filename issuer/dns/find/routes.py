"""The server and key for a name, by the longest matching ``[[dns.zone]]``, else by ``[dns]``. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from issuer.model.config import DnsSettings


@dataclass(frozen=True, slots=True)
class Route:
    """The servers and the key for names at and below *suffix*; "" matches every name.

    *sign_queries*: are the zone's servers asked with the key, because it chooses the view of the zone there?
    """

    suffix: str
    server: str
    port: int
    tsig_key_file: Path | None
    nameservers: tuple[str, ...]
    sign_queries: bool


def routes(settings: DnsSettings) -> list[Route]:
    """Every route, the most specific first."""
    default = Route(
        "", settings.server, settings.port, settings.tsig_key_file, settings.nameservers, settings.sign_queries
    )
    special = [
        Route(
            zone.name,
            zone.server or default.server,
            zone.port or (settings.port if not zone.server else 53),
            zone.tsig_key_file or default.tsig_key_file,
            zone.nameservers or (default.nameservers if not zone.server else ()),
            settings.sign_queries if zone.sign_queries is None else zone.sign_queries,
        )
        for zone in settings.zone
    ]
    return [*sorted(special, key=lambda route: -route.suffix.count(".")), default]


def route_for(name: str, table: Sequence[Route]) -> Route:
    """The first route of *table* whose suffix *name* is at or below."""
    return next(route for route in table if below(name, route.suffix))


def below(name: str, ancestor: str) -> bool:
    """Is *name* at or below *ancestor*? "" is above everything."""
    return not ancestor or f".{name}".endswith(f".{ancestor}")
