"""The addresses that an issuer connects to, and those who connect to the hosts of its certificates. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from common.dataclasses import dataclass, field
from common.egress.needs import Need, both, by_url, of_database, of_mail
from common.endpoint import parse_endpoint
from issuer.model.config import DnsSettings, Settings

NameServer = tuple[str, int, str]
"""Address, port, and the host name, "" where it is not known."""

_DNS = 53
HTTP = 80


@dataclass(slots=True)
class Needs:
    """The connections *outwards*, which this issuer makes, and *inwards*, which a CA makes. *warnings*: sentences about
    what could not be found out."""

    outwards: list[Need] = field(default_factory=list)
    inwards: list[Need] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, other: "Needs") -> None:
        self.outwards += other.outwards
        self.inwards += other.inwards
        self.warnings += other.warnings


def of_settings(settings: Settings) -> list[Need]:
    """The needs that the configuration alone tells: CAs, database, mail, name servers."""
    return [
        *(need for ca in settings.authorities for need in by_url(ca.directory, "ACME directory")),
        *by_url(settings.acme.staging, "ACME directory for tests (--staging)"),
        *of_database(settings.database.url),
        *of_mail(settings.notify),
        *_of_dns(settings.dns),
    ]


def _of_dns(settings: DnsSettings) -> Iterator[Need]:
    servers = [(settings.server, settings.port)]
    servers += [(zone.server, zone.port or _DNS) for zone in settings.zone]
    listed = [*settings.nameservers, *(text for zone in settings.zone for text in zone.nameservers)]
    for why, some in (
        ("updates of zones", servers),
        ("name server of a zone", [(text, _DNS) for text in listed]),
        ("resolver", [(text, _DNS) for text in settings.resolvers]),
        ("root server", [(text, _DNS) for text in settings.root_servers]),
    ):
        for text, port in some:
            try:
                yield from both(*parse_endpoint(text, port), why)
            except ValueError:  # `check` says so; and "" is none
                continue


def of_web_hosts(names: Iterable[str], port: int, *, fetched: bool) -> Needs:
    """The needs of names that http-01 validates. *fetched*: we look at them before the CA does, at *port*."""
    inwards = [Need(name, HTTP, "tcp", "http-01: the CA fetches the answer") for name in names]
    return Needs([Need(need.host, port, "tcp", "http-01: our own look") for need in inwards if fetched], inwards)


def of_name_servers(
    servers: Sequence[NameServer], parents: Sequence[NameServer], delegated: Sequence[str], way: str
) -> Needs:
    """The needs of the *way* dns-01 or dns-persist-01: the servers that show the challenge, those
    that are asked for the delegation, and the hosts that the CA asks."""
    outwards = [
        need
        for some, role in ((servers, "name server of a zone"), (parents, "name server of a parent zone"))
        for address, port, name in some
        for need in both(address, port, f"{role} ({name})" if name else role)
    ]
    asked = f"{way}: the CA asks for the answer"
    return Needs(outwards, [need for host in delegated for need in both(host, _DNS, asked)])
