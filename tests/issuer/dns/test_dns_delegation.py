"""Who has to show a challenge: every address of every server that the parent delegates to, or that the zone lists."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from dns.message import Message, QueryMessage
from structlog.testing import capture_logs

from common.errors import CertfleetError
from issuer.dns.asking import ask
from issuer.dns.find import delegation, resolvers
from issuer.dns.find.delegation import Delegations
from issuer.dns.find.resolvers import Resolvers
from issuer.dns.servers import Server
from issuer.dns.zones import Zones
from issuer.model.config import DnsSettings
from issuer.model.enrolment import Enrolment
from issuer.model.errors import DnsError
from tests.servers.bind import Bind
from tests.servers.knot import Knot
from tests.servers.ports import free_port, release_port
from tests.servers.resolver import Resolver
from tests.servers.stopwatch import Stopwatch

PARENT, CHILDREN = "127.0.0.2", ("127.0.0.3", "127.0.0.4", "127.0.0.5")
ZONE = "_acme-challenge.www.example.test"
HOSTS = ["@ NS ns0", f"ns0 A {PARENT}", "ns1 A 127.0.0.3", "ns1 AAAA ::1", "ns2 A 127.0.0.4", "ns3 A 127.0.0.5"]


class World:
    """A parent zone and its sub-zones on servers with addresses of their own, all on one port, and a resolver."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.parent = Knot(folder / "parent", addresses=[PARENT], port=self.port)
        self.children = Knot(folder / "children", addresses=CHILDREN, port=self.port)
        self.resolver = Resolver(folder / "resolver", f"{PARENT}:{self.port}")
        self.primary = Server("127.0.0.3", self.port)

    def start(self, parent: Sequence[str], child: Sequence[str] = ()) -> Delegations:
        """Serve these records, and look through the resolver."""
        self.parent.static_zone("example.test", [*HOSTS, *parent])
        if child:
            self.children.static_zone(ZONE, child)
        for server in (self.parent, self.children, self.resolver):
            server.start()
        return Delegations(Resolvers([self.resolver.endpoint]), self.port)

    def close(self) -> None:
        for server in (self.resolver, self.children, self.parent):
            server.close()
        release_port(self.port)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    try:
        yield made
    finally:
        made.close()


def test_every_address_of_the_parents_and_the_zones_own_list(world: World) -> None:
    """The parent names ns1 and ns2, the zone itself ns1 and ns3; ns1 has an address of each family: four servers."""
    names = ["_acme-challenge.www NS ns1", "_acme-challenge.www NS ns2"]
    delegations = world.start(names, ["@ NS ns1.example.test.", "@ NS ns3.example.test."])
    found = delegations.of(ZONE, world.primary)
    assert found.parent == "example.test"
    assert (set(found.named), set(found.listed)) == (
        {"ns1.example.test", "ns2.example.test"},
        {"ns1.example.test", "ns3.example.test"},
    )
    assert set(found.servers) == {
        Server(address, world.port, f"{name}.example.test")
        for name, address in (("ns1", "127.0.0.3"), ("ns1", "::1"), ("ns2", "127.0.0.4"), ("ns3", "127.0.0.5"))
    }
    assert found.seen


def test_glue_is_enough(world: World) -> None:
    """A name server inside the sub-zone that no resolver can resolve is found by the address that the parent gives."""
    glued = ["_acme-challenge.www NS ns._acme-challenge.www", "ns._acme-challenge.www A 127.0.0.5"]
    delegations = world.start(glued)
    found = delegations.of(ZONE, world.primary)
    assert list(found.servers) == [Server("127.0.0.5", world.port, f"ns.{ZONE}")]
    assert found.servers == found.glue


def test_a_zone_without_delegation_is_refused(world: World) -> None:
    """The zone exists on its server, but nobody in the world would find it: said before the CA is asked."""
    delegations = world.start([], ["@ NS ns1.example.test."])
    with pytest.raises(CertfleetError, match="is not delegated") as caught:
        delegations.servers(ZONE, world.primary)
    assert "add the delegation to the parent zone" in caught.value.hint


def test_a_missing_delegation_costs_no_order(world: World, bind: Bind) -> None:
    """The journey asks for the place before it opens an order: already there a zone without delegation is refused."""
    world.start([], ["@ NS ns1.example.test."])
    key = bind.tsig_key("acme")
    settings = DnsSettings("127.0.0.3", world.port, key, resolvers=(world.resolver.endpoint,))
    zones = Zones(settings, port=world.port)
    assert zones.locate("www.example.test").zone == ZONE
    with pytest.raises(CertfleetError, match="is not delegated"):
        zones.place("www.example.test", Enrolment.__new__(Enrolment))


def test_a_delegation_to_names_without_address_is_broken(world: World) -> None:
    """Name servers that do not exist are named."""
    delegations = world.start(["_acme-challenge.www NS nowhere.example.test."])
    with pytest.raises(CertfleetError, match=r"none of its name servers nowhere\.example\.test has an address"):
        delegations.servers(ZONE, world.primary)


def test_without_any_resolver_the_primarys_own_list_counts(world: World) -> None:
    """A network without a resolver is no reason to fail: what the primary lists is asked, with a warning."""
    world.start(["_acme-challenge.www NS ns2"], ["@ NS ns._own", "ns._own A 127.0.0.3", "ns._own A 127.0.0.4"])
    closed = free_port()
    try:
        with capture_logs() as logs:
            found = Delegations(Resolvers([f"127.0.0.1:{closed}"]), world.port).of(ZONE, world.primary)
    finally:
        release_port(closed)
    assert {server.address for server in found.servers} == {"127.0.0.3", "127.0.0.4"}
    assert not found.seen
    assert "delegation.unverified" in [entry["event"] for entry in logs]


def test_a_delegation_that_no_resolver_verified_is_not_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a resolver answers, the parent's servers count from the next look on; people hear of it once."""
    monkeypatch.setattr(resolvers, "_SILENT_SECONDS", 0)
    delegations = world.start(["_acme-challenge.www NS ns2"], ["@ NS ns1.example.test.", "ns1 A 127.0.0.3"])
    world.resolver.stop()
    with capture_logs() as logs:
        assert [delegations.of(ZONE, world.primary).parent for _ in range(2)] == ["", ""]
    assert [entry["event"] for entry in logs].count("delegation.unverified") == 1
    world.resolver.start()
    found = delegations.of(ZONE, world.primary)
    assert {server.address for server in found.servers} == {"127.0.0.3", "127.0.0.4", "::1"}


def test_a_host_of_many_zones_is_asked_for_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sub-zones have the same name servers as a rule: their addresses need no two questions for each of the zones. What
    the server could not tell is asked again."""
    zones = [f"_acme-challenge.www{number}.example.test" for number in range(3)]
    for zone in zones:
        world.children.static_zone(zone, ["@ NS ns.hosts.test.", "@ NS elsewhere.test."])
    world.children.static_zone("hosts.test", ["@ NS ns", "ns A 127.0.0.3"])
    world.children.start()
    asked: list[str] = []

    def asking(server: Server, query: QueryMessage) -> Message:
        asked.append(str(query.question[0].name))
        return ask(server, query)

    monkeypatch.setattr(delegation, "ask", asking)
    delegations = Delegations(Resolvers(["127.0.0.1:9"]), world.port)
    for zone in zones:
        [server] = delegations.servers(zone, world.primary)
        assert server == Server("127.0.0.3", world.port, "ns.hosts.test")
    assert asked.count("ns.hosts.test.") == 2  # A and AAAA
    assert asked.count("elsewhere.test.") == 2 * len(zones)


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("parent", "child", "says"),
    [
        ([f"_acme-challenge.www NS n{number}" for number in range(200)], [], "200 names"),
        ([], [f"@ NS n{number}.example.test." for number in range(200)], "200 names"),
        (
            [
                f"_acme-challenge.www NS n{name}\nn{name} A 127.1.{name}.{number}"
                for name in range(4)
                for number in range(50)
            ],
            [],
            "200 addresses",
        ),
    ],
)
def test_servers_without_end(world: World, parent: list[str], child: list[str], says: str) -> None:
    """A hostile zone is refused with a sentence before anybody is asked; leaving some out would prove nothing."""
    delegations = world.start(parent, child)
    with pytest.raises(CertfleetError, match=says) as caught:
        delegations.servers(ZONE, world.primary)
    assert "set nameservers in [dns]" in caught.value.hint


def test_a_zone_with_thirteen_servers(world: World) -> None:
    """As the root has them, each with two addresses: every one is asked."""
    names = [f"n{number:02d}" for number in range(13)]
    addresses = [f"{name} {kind}{name[1:]}" for name in names for kind in ("A 127.1.0.1", "AAAA 2001:db8::")]
    delegations = world.start([*(f"_acme-challenge.www NS {name}" for name in names), *addresses])
    assert len(delegations.servers(ZONE, world.primary)) == 26


def test_a_zone_is_looked_up_once(world: World) -> None:
    """What is known is not asked again: the second look needs no server at all."""
    delegations = world.start(["_acme-challenge.www NS ns1"], ["@ NS ns1.example.test."])
    first = delegations.servers(ZONE, world.primary)
    for server in (world.parent, world.children):
        server.stop()
    assert delegations.servers(ZONE, world.primary) is first


EACH = 90  # addresses of a name; BIND as a resolver takes no more than 100 records of a kind
MANY = [f"a{number} A 10.0.{number}.{host}" for number in range(20) for host in range(EACH)]


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("parent", "child", "says"),
    [
        ([f"_acme-challenge.www NS a{number}" for number in range(1000)], [], "1000 names, and more than 32"),
        (["_acme-challenge.www NS ns1"], [f"@ NS a{number}.example.test." for number in range(1000)], "1000 names"),
        ([*MANY, *(f"_acme-challenge.www NS a{n}" for n in range(20))], ["@ NS ns1.example.test."], "1802 addresses"),
    ],
    ids=["names in the parent", "names in the zone", "addresses"],
)
def test_a_zone_of_a_thousand_name_servers(world: World, parent: list[str], child: list[str], says: str) -> None:
    """It is an error at once, with its numbers, and a few questions: none of its servers is asked, for leaving some out
    would prove nothing."""
    delegations = world.start(parent, child)
    watch = Stopwatch()
    with pytest.raises(DnsError, match=says) as caught:
        delegations.of(ZONE, world.primary)
    assert watch.seconds() < 10
    assert "list fewer NS records" in caught.value.hint
