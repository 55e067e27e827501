"""egress: what the firewall before this issuer has to let through, where that is now, and whether it does."""

import argparse
import time
from collections.abc import Iterator, Sequence

from common.clock import duration_text
from common.command_line import complain
from common.config_file import load
from common.dataclasses import dataclass, field
from common.egress.certified import Certified
from common.egress.needs import Found, Need, both, by_url, is_ip, merged, sightings, spots_of, with_reached
from common.egress.reach import reach, resolve
from common.egress.show import short_lived, show
from common.errors import CertfleetError, UsageError, render
from issuer.ca.client import AcmeCa
from issuer.ca.transport import proxy_for
from issuer.commands.challenge_types import ways
from issuer.commands.looks import counted
from issuer.commands.rows import Rows
from issuer.dns.asked import asked_about
from issuer.dns.find.addresses import addresses_and_ttls
from issuer.dns.find.from_root import from_root
from issuer.dns.find.resolvers import Resolvers
from issuer.dns.records import Records
from issuer.dns.servers import Server
from issuer.dns.zones import Zones
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment
from issuer.model.errors import StoreError
from issuer.model.leaf import Damaged
from issuer.rules.egress import of_name_servers, of_settings, of_web_hosts
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.egress import Egress
from issuer.store.overview import Overview
from issuer.store.revision import open_database
from issuer.webroot.location import parse_location

_RESOLVING_SECONDS, _REACHING_SECONDS = 10.0, 5.0
_MOST_NAMES = 200  # names whose servers are looked up, of each way of validation
_FROM_ROOT = (
    "`check`, `audit` and `run` ask DNS from the root downwards, so 53/udp and 53/tcp of the root servers and of each "
    "zone on the way; where these are closed they go on without"
)
_ORDERS_LOOKED_AT = 5  # at each CA: their URLs may lead to other hosts than the directory


@dataclass(slots=True)
class _Wanted:
    """The needs outwards and inwards, and what could not be found out."""

    outwards: list[Need] = field(default_factory=list)
    inwards: list[Need] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def egress(arguments: argparse.Namespace) -> int:
    """One look; with --watch it is added to those before, and with --every repeated until the command is ended: a
    database that is away costs that one look."""
    if arguments.every is not None and not arguments.watch:
        raise UsageError("--every is for --watch", hint="give both, or none")
    settings = load(Settings, arguments.config)
    database = open_database(settings.database)
    while True:
        try:
            code = _look(settings, database, arguments)
            if not arguments.every:
                return code
        except StoreError as error:
            if not arguments.every:
                raise
            complain(*render(error))
        time.sleep(arguments.every)


def _look(settings: Settings, database: Database, arguments: argparse.Namespace) -> int:
    wanted = _wanted(settings, database)
    found = _found(settings, Egress(database), wanted.outwards, watch=arguments.watch)
    every = settings.egress.firewall_resolves_every
    warnings = [*wanted.warnings, *short_lived(found, every, duration_text(every))]
    form, quiet = arguments.format, getattr(arguments, "quiet", False)
    return show(found, merged(wanted.inwards), warnings=warnings, form=form, as_json=arguments.json, quiet=quiet)


def _wanted(settings: Settings, database: Database) -> _Wanted:
    wanted = _Wanted(of_settings(settings))
    resolvers = Resolvers(settings.dns.resolvers)
    wanted.outwards += [need for server in resolvers.every for need in both(server.address, server.port, "resolver")]
    _add_authorities(wanted, settings, Overview(database))
    certified, by_file, by_zone, by_record = Certified(), dict[str, None](), dict[str, None](), dict[str, None]()
    by_way = {"http-01": by_file, "dns-01": by_zone, "dns-persist-01": by_record}
    is_proven, doubtful = Rows(settings, database).is_proven, 0
    for row in counted(Certificates(database).all()):
        if not is_proven(row):  # whoever writes the database names no server that is asked, and none for a firewall
            doubtful += 1
            continue
        certified.add(row.crt, row.ca)
        _add_row(wanted, row, by_way)
    if doubtful:
        wanted.warnings.append(_doubtful(doubtful))
    wanted.outwards += certified.needs
    web = settings.webroot
    outwards, inwards = of_web_hosts(_bounded(by_file, wanted, "web servers"), web.http_port, fetched=web.fetch)
    wanted.outwards += outwards
    wanted.inwards += inwards
    _add_name_servers(wanted, Zones(settings.dns), _bounded(by_zone, wanted, "name servers"))
    _add_name_servers(wanted, Records(settings.dns), _bounded(by_record, wanted, "name servers"))
    if not settings.dns.root_servers and from_root(settings.dns, 0) is not None:
        wanted.warnings.append(_FROM_ROOT)
    return wanted


def _doubtful(count: int) -> str:
    rows = "row is" if count == 1 else "rows are"
    return f"{count} {rows} not what was enrolled and signed, and left out here: `status` shows which"


def _add_authorities(wanted: _Wanted, settings: Settings, overview: Overview) -> None:
    """The hosts of each CA's resources and orders, or the proxy that leads there."""
    for ca in settings.authorities:
        urls = [(url, "ACME order") for url in overview.newest_orders(ca.directory, _ORDERS_LOOKED_AT)]
        try:
            authority = AcmeCa(settings, ca, time.time)
            try:
                urls += [(url, "ACME") for url in authority.endpoints]
            finally:
                authority.close()
        except CertfleetError as error:
            wanted.warnings.append(f"the directory {ca.directory} names further hosts, and cannot be read: {error}")
        wanted.outwards += [need for url, why in urls for need in by_url(url, why)]
        if proxy := proxy_for(ca.directory):
            wanted.outwards += by_url(proxy if "://" in proxy else f"http://{proxy}", "proxy to the CA")
            wanted.warnings.append(f"{ca.directory} is reached by a proxy: it is the proxy that needs the CA's hosts")


def _add_row(wanted: _Wanted, row: Enrolment, by_way: dict[str, dict[str, None]]) -> None:
    """Sort the names of a row by the way in which they are validated."""
    if not row.enabled or isinstance(row.request, Damaged):
        return
    try:
        shares = ways(row.validation, row.request.names)
    except CertfleetError:  # `check` says so
        return
    for validation, kind, names in shares:
        by_way.get(kind.name, {}).update(dict.fromkeys(names))
        if kind.name == "http-01":
            wanted.outwards += _of_webroot(validation.webroot_path)


def _of_webroot(text: str) -> Iterator[Need]:
    try:
        location = parse_location(text.strip())
    except ValueError:
        return
    if location.host:
        yield Need(location.host, location.port, "tcp", "webroot over SSH")


def _bounded(names: dict[str, None], wanted: _Wanted, servers: str) -> list[str]:
    if len(names) > _MOST_NAMES:
        text = f"the {servers} of {_MOST_NAMES} of {len(names)} names are looked at; the rules for the others are alike"
        wanted.warnings.append(text)
    return list(names)[:_MOST_NAMES]


def _add_name_servers(wanted: _Wanted, solver: Zones | Records, names: Sequence[str]) -> None:
    for one in asked_about(names, solver):
        places = _places(one.servers), _places(one.parents)
        outwards, inwards = of_name_servers(*places, one.delegated, solver.type.name)
        wanted.outwards += outwards
        wanted.inwards += inwards
        if one.failure:
            wanted.warnings.append(f"not all name servers of {one.zone or one.name} are known: {one.failure}")


def _places(servers: Sequence[Server]) -> list[tuple[str, int, str]]:
    return [(server.address, server.port, server.name) for server in servers]


def _found(settings: Settings, store: Egress, needs: Sequence[Need], *, watch: bool) -> list[Found]:
    """Every passage with the addresses of now and of before, and what came of a connection to those of now."""
    passages = merged(needs)
    hosts = list(dict.fromkeys(passage.host for passage in passages))
    now = int(time.time())
    resolved = resolve(hosts, _RESOLVING_SECONDS)
    by_dns = addresses_and_ttls(Resolvers(settings.dns.resolvers).every, [host for host in hosts if not is_ip(host)])
    seen = {host: {**dict.fromkeys(resolved[host].addresses), **by_dns.get(host, {})} for host in hosts}
    before = store.remembered(hosts, now)
    known = {host: sightings(seen[host], before.get(host, ()), now) for host in hosts}
    if watch:
        store.remember({host: some for host, some in known.items() if not is_ip(host)}, now)
    found = [Found(one, known[one.host], unresolved=resolved[one.host].why) for one in passages]
    return with_reached(found, reach(spots_of(found), _REACHING_SECONDS))
