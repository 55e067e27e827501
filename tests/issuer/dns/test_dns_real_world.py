"""From the root zone down to a stored certificate, all servers on port 53: what a user configures, and nothing else.

In a network of their own stand a root server, a server of the parents ``example.test`` and ``example.net``, a primary
and a secondary for the sub-zones, each with an address of either family, and a resolver that follows delegations.
One journey is made over each database; those that are servers stand in that network too.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.issuer.box import ROOT, Box, Outcome
from tests.servers.bind import Bind
from tests.servers.database import Database, SqliteDatabase
from tests.servers.knot import Knot
from tests.servers.mysql import MAKES
from tests.servers.network import Network
from tests.servers.pebble import Pebble
from tests.servers.process import wait_until
from tests.servers.resolver import Resolver
from tests.servers.sql_server import SqlServer

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network")

ROOT_SERVER, PARENT, PRIMARY, SECONDARY, RESOLVER = (f"127.0.1.{number}" for number in range(1, 6))
PARENT6, PRIMARY6, SECONDARY6 = (f"fd00:53::{number}" for number in range(2, 5))
NO_ROUTE = "2001:db8::4"
HOSTS = [
    *(f"ns0 A {PARENT}", f"ns0 AAAA {PARENT6}"),
    *(f"ns1 A {PRIMARY}", f"ns1 AAAA {PRIMARY6}"),
    *(f"ns2 A {SECONDARY}", f"ns2 AAAA {SECONDARY6}"),
    *(f"ns3 A {SECONDARY}", f"ns3 AAAA {NO_ROUTE}"),  # the secondary once more, with an address out of reach
]


def delegation(zone: str, *hosts: str) -> list[str]:
    """The NS records of a zone, for its parent and for itself."""
    return [f"{zone} NS {host}.example.test." for host in hosts]


@dataclass(frozen=True, slots=True)
class World:
    """The servers that take part in a validation, and those of databases."""

    primary: Bind
    secondary: Bind
    pebble: Pebble
    resolv_conf: Path
    key: Path
    sql_servers: Mapping[str, SqlServer]

    def box(self, folder: Path, database: Database, dns: dict[str, Any]) -> Box:
        """A central box with this [dns], set up."""
        made = Box(folder / "box", database, pebble=self.pebble)
        made.document["dns"] = dns
        made.write()
        made.set_up()
        return made

    def issuer(self, box: Box, *words: str) -> Outcome:
        """One command in a process of its own, whose system resolver is ours."""
        script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        code = [sys.executable, "-c", "from issuer.cli import main; main()", "--config", str(box.config)]
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, str(self.resolv_conf), *code, *words],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        assert done.returncode == 0, done.stdout + done.stderr
        return Outcome(done.returncode, done.stdout, done.stderr)

    def journey(self, box: Box, name: str) -> tuple[Outcome, Outcome]:
        """populate, check, run; what the last two said."""
        box.populate(name)
        checked, ran = self.issuer(box, "check", name), self.issuer(box, "run")
        assert f"{name}: stored" in ran.out
        assert [state for state, _ in box.orders(name)] == ["STORED"]
        [crt] = box.row(name, "crt")
        assert b"BEGIN CERTIFICATE" in crt
        return checked, ran

    def gone(self, owner: str) -> None:
        """No name server has a TXT record left there; the secondary learns of it in its time."""
        assert self.primary.txt(owner) == set()
        wait_until(lambda: not self.secondary.txt(owner), f"the secondary shows no TXT at {owner}")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    addresses = [ROOT_SERVER, PARENT, PRIMARY, SECONDARY, RESOLVER, PARENT6, PRIMARY6, SECONDARY6]
    with Network(addresses), ExitStack() as running:
        primary = Bind(folder / "primary", address=PRIMARY, address6=PRIMARY6, port=53)
        key = primary.tsig_key("acme")
        for name, hosts in (("www", ("ns1", "ns2")), ("mail", ("ns1", "ns2")), ("far", ("ns1", "ns3"))):
            primary.dynamic_zone(f"_acme-challenge.{name}.example.test", "acme", records=delegation("@", *hosts))
        aliased = ["shop.acme.example.net"]
        primary.dynamic_zone("acme.example.net", "acme", aliased, records=delegation("@", "ns1", "ns2"))
        secondary = Bind(folder / "secondary", address=SECONDARY, address6=SECONDARY6, port=53, secondary_of=primary)
        for server in (_root(folder), _parent(folder), primary, secondary):
            running.enter_context(server)
        resolver = running.enter_context(Resolver(folder / "resolver", root=ROOT_SERVER, address=RESOLVER, port=53))
        pebble = running.enter_context(Pebble(folder / "pebble", resolver.endpoint))
        resolv_conf = folder / "resolv.conf"
        resolv_conf.write_text(f"nameserver {RESOLVER}\n", encoding="ascii")
        sql_servers = {make: running.enter_context(server()) for make, server in MAKES.items()}
        yield World(primary, secondary, pebble, resolv_conf, key, sql_servers)


@pytest.fixture(params=[pytest.param("sqlite", marks=pytest.mark.soak), *MAKES])
def database(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Database:
    """An empty database that can be reached from that network, once of each engine."""
    return SqliteDatabase(tmp_path) if request.param == "sqlite" else world.sql_servers[request.param].create_database()


def _root(folder: Path) -> Knot:
    server = Knot(folder / "root", addresses=[ROOT_SERVER], port=53)
    zones = [*delegation("example.test.", "ns0"), *delegation("example.net.", "ns0")]
    glue = [f"ns0.example.test. A {PARENT}", f"ns0.example.test. AAAA {PARENT6}"]
    _serve(server, ".", ["@ NS ns.root.", f"ns.root. A {ROOT_SERVER}", *zones, *glue])
    return server


def _parent(folder: Path) -> Knot:
    server = Knot(folder / "parent", addresses=[PARENT, PARENT6], port=53)
    subs = [
        *delegation("_acme-challenge.www", "ns1", "ns2"),
        *delegation("_acme-challenge.mail", "ns1", "ns2"),
        *delegation("_acme-challenge.far", "ns1", "ns3"),
        "_acme-challenge.shop CNAME shop.acme.example.net.",
    ]
    _serve(server, "example.test.", [*delegation("@", "ns0"), *HOSTS, *subs])
    _serve(server, "example.net.", [*delegation("@", "ns0"), *delegation("acme", "ns1", "ns2")])
    return server


def _serve(server: Knot, zone: str, records: Sequence[str]) -> None:
    """A hand-written zone."""
    soa = f"$ORIGIN {zone}\n$TTL 60\n@ SOA ns0.example.test. noc.example.test. 1 3600 600 86400 60\n"
    file = server.zone_file(zone, soa + "\n".join([*records, ""]))
    server.paste(f'zone:\n  - domain: "{zone}"\n    file: "{file}"\n')


def shown(*addresses: tuple[str, str]) -> list[str]:
    """What `check` says of name servers that follow."""
    return [f"{host}.example.test ({address}) shows a new record after" for host, address in addresses]


NS1 = (("ns1", PRIMARY), ("ns1", f"[{PRIMARY6}]"))
NS2 = (("ns2", SECONDARY), ("ns2", f"[{SECONDARY6}]"))


def test_one_suffix_with_its_server_and_key(world: World, database: Database, tmp_path: Path) -> None:
    """A [[dns.zone]] of two lines: both name servers are found at both addresses, and left clean."""
    zone = {"name": "example.test", "server": PRIMARY, "tsig_key_file": str(world.key)}
    box = world.box(tmp_path, database, {"zone": [zone]})
    checked, _ = world.journey(box, "www.example.test")
    assert "example.test delegates it to ns1.example.test, ns2.example.test" in checked.out
    for sentence in shown(*NS1, *NS2):
        assert sentence in checked.out
    assert "warn zone" not in checked.out
    world.gone("_acme-challenge.www.example.test")


@pytest.mark.soak
def test_nothing_but_a_server_and_a_key(world: World, tmp_path: Path) -> None:
    """Without any [[dns.zone]] SOA and delegation tell the zone; the server may be given by its IPv6 address."""
    box = world.box(tmp_path, SqliteDatabase(tmp_path), {"server": PRIMARY6, "tsig_key_file": str(world.key)})
    checked, _ = world.journey(box, "mail.example.test")
    for sentence in shown(*NS1, *NS2):
        assert sentence in checked.out
    world.gone("_acme-challenge.mail.example.test")


@pytest.mark.soak
def test_an_alias_into_another_domain(world: World, tmp_path: Path) -> None:
    """_acme-challenge is a CNAME in the hand-written zone: the resolver shows it, the record goes where it leads."""
    zone = {"name": "acme.example.net", "server": PRIMARY, "tsig_key_file": str(world.key)}
    box = world.box(tmp_path, SqliteDatabase(tmp_path), {"zone": [zone]})
    checked, _ = world.journey(box, "shop.example.test")
    assert "_acme-challenge.shop.example.test → shop.acme.example.net is followed" in checked.out
    for sentence in shown(*NS1, *NS2):
        assert sentence in checked.out
    world.gone("shop.acme.example.net")


@pytest.mark.soak
def test_an_address_without_a_route(world: World, tmp_path: Path) -> None:
    """One address of one name server cannot be reached from here: `check` and `run` warn of it, and neither waits."""
    box = world.box(tmp_path, SqliteDatabase(tmp_path), {"server": PRIMARY, "tsig_key_file": str(world.key)})
    began = time.monotonic()
    checked, ran = world.journey(box, "far.example.test")
    assert time.monotonic() - began < 30
    out_of_reach = f"ns3.example.test ([{NO_ROUTE}])"
    sentence = f"warn zone _acme-challenge.far.example.test: {out_of_reach} cannot be looked at from here: Network is"
    assert sentence in checked.out
    for sentence in shown(*NS1, ("ns3", SECONDARY)):
        assert sentence in checked.out
    assert "nameserver.not_asked" in ran.err
    assert out_of_reach in ran.err
    world.gone("_acme-challenge.far.example.test")
