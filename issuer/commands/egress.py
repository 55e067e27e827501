"""egress: what the firewall before this issuer has to let through, where that is now, and whether it does."""

import argparse
import time
from collections.abc import Sequence
from contextlib import closing

from common.clock import duration_text
from common.command_line import complain
from common.config_file import load
from common.egress.certified import Certified
from common.egress.needs import Found, Need, both, by_url, is_ip, merged, sightings, spots_of, with_reached
from common.egress.reach import reach, resolve
from common.egress.show import short_lived, show
from common.errors import CertfleetError, UsageError, render
from issuer.ca.client import AcmeCa
from issuer.ca.transport import proxy_for
from issuer.commands.challenge_types import build_solvers, ways
from issuer.commands.looks import counted
from issuer.commands.rows import Rows
from issuer.dns.find.addresses import addresses_and_ttls
from issuer.dns.find.from_root import from_root
from issuer.dns.find.resolvers import Resolvers
from issuer.journey.solver import ChallengeType
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment, Validation
from issuer.model.errors import StoreError
from issuer.model.leaf import Damaged
from issuer.rules.egress import Needs, of_settings
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.egress import Egress
from issuer.store.orders import Orders
from issuer.store.revision import open_database

_RESOLVING_SECONDS, _REACHING_SECONDS = 10.0, 5.0
_MOST_NAMES = 200  # names whose servers are looked up, of each way of validation
_FROM_ROOT = (
    "`check`, `audit` and `run` ask DNS from the root downwards, so 53/udp and 53/tcp of the root servers and of each "
    "zone on the way; where these are closed they go on without"
)
_ORDERS_LOOKED_AT = 100  # at each CA: their URLs may lead to other hosts than the directory


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
    needs = _needs(settings, database)
    found = _found(settings, Egress(database), needs.outwards, watch=arguments.watch)
    every = settings.egress.firewall_resolves_every
    warnings = [*needs.warnings, *short_lived(found, every, duration_text(every))]
    form, quiet = arguments.format, arguments.quiet
    return show(found, merged(needs.inwards), warnings=warnings, form=form, as_json=arguments.json, quiet=quiet)


def _needs(settings: Settings, database: Database) -> Needs:
    needs = Needs(of_settings(settings))
    resolvers = Resolvers(settings.dns.resolvers)
    needs.outwards += [need for server in resolvers.every for need in both(server.address, server.port, "resolver")]
    rows = Rows(settings, database)
    _add_authorities(needs, settings, Orders(database, "", rows.seals))
    certified, solvers = Certified(), build_solvers(settings)
    names: dict[str, dict[str, None]] = {way: {} for way in solvers}
    validations: dict[str, dict[Validation, None]] = {way: {} for way in solvers}
    doubtful = 0
    for row in counted(Certificates(database).all()):
        if not rows.is_proven(row):  # else a writer of the database could name servers to ask, or to let through
            doubtful += 1
            continue
        certified.add(row.crt, row.ca)
        for validation, kind, some in _shares(row):
            names[kind.name].update(dict.fromkeys(some))
            validations[kind.name][validation] = None
    if doubtful:
        needs.warnings.append(_doubtful(doubtful))
    needs.outwards += certified.needs
    for way, solver in solvers.items():
        needs.add(solver.needs(_bounded(names[way], needs, way), list(validations[way])))
    if not settings.dns.root_servers and from_root(settings.dns, 0) is not None:
        needs.warnings.append(_FROM_ROOT)
    return needs


def _doubtful(count: int) -> str:
    rows = "row is" if count == 1 else "rows are"
    return f"{count} {rows} not what was enrolled and signed, and left out here: `status` shows which"


def _add_authorities(needs: Needs, settings: Settings, orders: Orders) -> None:
    """The hosts of each CA's resources and orders, or the proxy that leads there."""
    for ca in settings.authorities:
        urls = [(url, "ACME order") for url in orders.urls(ca.directory, _ORDERS_LOOKED_AT)]
        try:
            with closing(AcmeCa(settings, ca, time.time)) as authority:
                urls += [(url, "ACME") for url in authority.endpoints]
        except CertfleetError as error:
            needs.warnings.append(f"the directory {ca.directory} names further hosts, and cannot be read: {error}")
        needs.outwards += [need for url, why in urls for need in by_url(url, why)]
        if proxy := proxy_for(ca.directory):
            needs.outwards += by_url(proxy, "proxy to the CA")
            needs.warnings.append(f"{ca.directory} is reached by a proxy: it is the proxy that needs the CA's hosts")


def _shares(row: Enrolment) -> list[tuple[Validation, ChallengeType, list[str]]]:
    """The names of a row that is enabled, by the way in which they are validated."""
    if not row.enabled or isinstance(row.request, Damaged):
        return []
    try:
        return ways(row.validation, row.request.names)
    except CertfleetError:  # `check` says so
        return []


def _bounded(names: dict[str, None], needs: Needs, way: str) -> list[str]:
    if len(names) > _MOST_NAMES:
        some = f"the servers of {_MOST_NAMES} of {len(names)} names of {way} are looked at"
        needs.warnings.append(f"{some}; the rules for the others are alike")
    return list(names)[:_MOST_NAMES]


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
