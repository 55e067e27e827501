"""DNS as a CA's resolver sees it: from a root of our own over a TLD to zones, each on servers of its own."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from common.check_line import Level, Line
from issuer.check.from_root import FaultsFromRoot, RootLook, resolver_lines
from issuer.dns.dns01 import Dns01
from issuer.dns.find.from_root import FromRoot, from_root
from issuer.dns.find.resolvers import Resolvers
from issuer.dns.persist01 import DnsPersist01
from issuer.dns.servers import Server
from issuer.journey.solver import ChallengeType, looked_up
from issuer.model.config import DnsSettings
from issuer.webroot.http01 import Http01
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.knot import Knot
from tests.servers.ports import free_port, release_port
from tests.servers.silent import Silent
from tests.servers.stopwatch import Stopwatch

ABOVE, TOP, OWN, OTHER, LIAR = (f"127.0.0.{number}" for number in (2, 3, 4, 5, 6))
NAME = "www.example.test"


class Internet:
    """A root at 127.0.0.2, a TLD at 127.0.0.3 and the servers of zones at 127.0.0.4 and .5; a resolver at .6 that says
    what it likes."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.root, self.top, self.own, self.liar = (
            Knot(folder / word, addresses=addresses, port=self.port)
            for word, addresses in (("root", [ABOVE]), ("top", [TOP]), ("own", [OWN, OTHER]), ("liar", [LIAR]))
        )
        soa = ". 1 SOA a. b. 1 3600 600 86400 1\n. 1 NS a.\na. 1 A 127.0.0.2\n"
        file = self.root.zone_file("", f"{soa}test. 1 NS ns.test.\nns.test. 1 A {TOP}\n")
        self.root.paste(f'zone:\n  - domain: "."\n    file: "{file}"\n')

    def start(self, top: Sequence[str], own: dict[str, list[str]], said: Sequence[str] = ("www A 192.0.2.1",)) -> None:
        """Serve these records: of the TLD, of zones, and of example.test as the resolver says them."""
        self.top.static_zone("test", ["@ NS ns", f"ns A {TOP}", *top])
        for zone, records in own.items():
            self.own.static_zone(zone, records)
        self.liar.static_zone("example.test", ["@ NS ns1", *said])
        for server in (self.root, self.top, self.own, self.liar):
            server.start()

    def walk(self, seconds: float = 30) -> FromRoot:
        return FromRoot([Server(ABOVE, self.port)], seconds)

    def look(self, *names: str) -> list[Line]:
        return RootLook(self.walk(), Resolvers([f"{LIAR}:{self.port}"])).lines(names or [NAME])

    def close(self) -> None:
        for server in (self.root, self.top, self.own, self.liar):
            server.close()
        release_port(self.port)


@pytest.fixture
def internet(tmp_path: Path) -> Iterator[Internet]:
    made = Internet(tmp_path)
    try:
        yield made
    finally:
        made.close()


GOOD_TOP = ["example NS ns1.example", f"ns1.example A {OWN}"]
GOOD_OWN = ["@ NS ns1", f"ns1 A {OWN}", "www A 192.0.2.1"]


@pytest.mark.parametrize(
    ("kind", "name", "wanted"),
    [
        (Dns01(), f"*.{NAME}", [NAME, f"_acme-challenge.{NAME}"]),
        (DnsPersist01(), NAME, [NAME, f"_validation-persist.{NAME}"]),
        (Http01(), NAME, [NAME]),
        (Http01(), "192.0.2.1", []),
    ],
    ids=["a wildcard by dns-01", "dns-persist-01", "http-01", "an address"],
)
def test_a_ca_looks_where_the_type_has_its_record(kind: ChallengeType, name: str, wanted: list[str]) -> None:
    """Also for the record of dns-persist-01, which lies elsewhere than the one of dns-01."""
    assert looked_up(kind, name) == wanted


def test_nothing_is_said_of_what_is_well(internet: Internet) -> None:
    """Over three zones and a sub-zone for challenges, whose server is named in another zone; each is looked at once."""
    top = [*GOOD_TOP, "host NS ns.host", f"ns.host A {OTHER}"]
    sub = ["_acme-challenge.www NS ns.host.test."]
    own = {"example.test": [*GOOD_OWN, *sub], "host.test": ["@ NS ns", f"ns A {OTHER}"]}
    internet.start(top, own | {f"_acme-challenge.{NAME}": ["@ NS ns.host.test."]})
    assert internet.look(*looked_up(Dns01(), NAME)) == []
    walk = internet.walk()
    way = walk.way(f"_acme-challenge.{NAME}")
    # the server of both zones answers for the lower one at once: what it refers to stays unseen
    assert [zone.name for zone in way.zones] == ["example.test"]
    assert way.answers
    assert [zone.name for zone in walk.way("ns.host.test").zones] == ["host.test"]


def test_faults_are_told_apart(internet: Internet) -> None:
    """A server that does not serve the zone, one without address, glue that is out of date, and a resolver that says
    something else."""
    top = [*GOOD_TOP, f"ns1.example A {OTHER}", "example NS ns", "example NS gone.test."]
    internet.start(top, {"example.test": GOOD_OWN}, said=["www A 203.0.114.9"])
    lines = [f"{line.level.value} {line.subject}: {line.sentence}" for line in internet.look()]
    assert lines == [
        f"warn zone example.test: ns.test ({TOP}:{internet.port}) does not serve it (lame), and test names it: "
        "NOERROR without authority",
        f"warn zone example.test: the glue of ns1.example.test says {OWN}, {OTHER}, its address records say {OWN}",
        "warn zone example.test: test names gone.test, which has no address that can be found from the root",
        f"warn {NAME}: the resolvers say 203.0.114.9, its own servers say 192.0.2.1",
    ]


def test_a_zone_that_nobody_serves_is_bad(internet: Internet) -> None:
    """A CA finds nothing there, whatever a resolver remembers."""
    internet.start(["example NS ns", "example NS x.example", "x.example A 127.0.0.9"], {"other.test": ["@ NS x"]})
    lines = internet.look(NAME, f"mail.{NAME}")
    assert [line.level for line in lines].count(Level.BAD) == len(lines) == 2, lines
    assert "none of the servers that test names serves it" in lines[-1].sentence


def test_a_root_that_is_away_is_a_note(tmp_path: Path) -> None:
    """Behind a firewall: said once, no finding, and it costs one wait for all names."""
    with Silent() as silent:
        watch = Stopwatch()
        look = RootLook(FromRoot([Server("127.0.0.1", silent.port)], 30), Resolvers(["127.0.0.1:9"]))
        lines = look.lines([f"w{number}.example.test" for number in range(50)])
    assert [line.level for line in lines] == [Level.OK]
    assert "no root server answers" in lines[0].sentence
    assert look.lines(["other.example.test"]) == []
    assert watch.seconds() < 20


def test_a_walk_ends_with_its_time(internet: Internet) -> None:
    internet.start(GOOD_TOP, {"example.test": GOOD_OWN})
    way = internet.walk(seconds=0).way(NAME)
    assert (way.zones, way.reached, dict(way.answers)) == ([], False, {})


def test_check_and_audit_tell_it(internet: Internet, lone_box: Box) -> None:
    """Both begin at the root servers of the configuration. The audit leaves out what resolvers say: views differ."""
    internet.start([*GOOD_TOP, "example NS ns"], {"example.test": GOOD_OWN}, said=["www A 203.0.114.9"])
    dns = {"resolvers": [f"{LIAR}:{internet.port}"], "root_servers": [f"{ABOVE}:{internet.port}"]}
    lone_box.document["acme"] = {"directory": "https://127.0.0.1:9/dir"}
    lone_box.write(dns=dns)
    lone_box.populate(NAME)
    lone_box.ok("enable", NAME)
    said = lone_box.run("check", NAME).out
    assert said.count("does not serve it (lame), and test names it") == 1
    assert "the resolvers say 203.0.114.9, its own servers say 192.0.2.1" in said
    found = lone_box.run("audit", NAME, "--json").report()["findings"]
    [(severity, evidence)] = [(one["severity"], one["evidence"]) for one in found if one["kind"] == "delegation"]
    assert (severity, "zone example.test: ns.test" in evidence) == ("warning", True)
    lone_box.write(dns={"root_servers": []})
    assert "lame" not in lone_box.run("check", NAME).out


@pytest.mark.parametrize(
    ("own", "said", "differs"),
    [
        (["192.0.2.1"], ["192.0.2.1"], False),
        (["192.0.2.1", "192.0.2.2"], ["192.0.2.2", "192.0.2.3"], False),
        (["203.0.114.1"], ["10.1.2.3"], False),
        ([], [], False),
        (["203.0.114.1"], ["203.0.114.2"], True),
        (["203.0.114.1"], [], True),
        ([], ["203.0.114.1"], True),
        (["cdn.example"], ["block.example"], True),
    ],
)
def test_when_a_resolver_says_otherwise(own: list[str], said: list[str], differs: bool) -> None:
    """One address in common is enough; inner ones are a view that somebody meant."""
    assert bool(list(resolver_lines(NAME, own, said))) is differs


def test_whom_the_configuration_lets_us_ask() -> None:
    """Nobody where it names inner resolvers alone; IANA's servers else; and those that it names."""
    assert from_root(DnsSettings(resolvers=("10.0.0.1", "127.0.0.1")), 1) is None
    assert from_root(DnsSettings(resolvers=("10.0.0.1", "9.9.9.9")), 1) is not None
    assert from_root(DnsSettings(), 1) is not None
    walk = from_root(DnsSettings(resolvers=("10.0.0.1",), root_servers=("127.0.0.1:9",)), 1)
    assert walk is not None
    assert walk.way(NAME).reached is False


@pytest.mark.parametrize(("resolver", "level"), [("127.0.0.1:9", Level.BAD), ("", Level.WARN)])
def test_an_order_believes_a_resolver_that_finds_the_zone(internet: Internet, resolver: str, level: Level) -> None:
    """This machine may be shown another view than a CA, so only what nobody finds stops an order. Each zone is told
    once, whatever names are below it."""
    internet.start(["example NS ns"], {"other.test": ["@ NS x"]})
    settings = DnsSettings(root_servers=(f"{ABOVE}:{internet.port}",))
    faults = FaultsFromRoot(settings, Resolvers([resolver or f"{LIAR}:{internet.port}"]))
    lines = faults([NAME, f"_acme-challenge.{NAME}", "mail.example.test"])
    assert [line.level for line in lines] == [level, level]  # the lame server, and that there is no other
    assert "none of the servers that test names serves it" in lines[-1].sentence


def test_an_order_hears_of_lesser_faults_and_of_nothing_that_cannot_be_seen(internet: Internet) -> None:
    internet.start([*GOOD_TOP, "example NS ns"], {"example.test": GOOD_OWN}, said=["www A 203.0.114.9"])
    settings = DnsSettings(root_servers=(f"{ABOVE}:{internet.port}",))
    lines = FaultsFromRoot(settings, Resolvers([f"{LIAR}:{internet.port}"]))([NAME])
    assert [(line.level, line.subject) for line in lines] == [(Level.WARN, "zone example.test"), (Level.WARN, NAME)]
    away = DnsSettings(root_servers=("127.0.0.1:9",))
    assert FaultsFromRoot(away, Resolvers([f"{LIAR}:{internet.port}"]))([NAME]) == []
    inside = DnsSettings(resolvers=("10.0.0.1",))
    assert FaultsFromRoot(inside, Resolvers(["10.0.0.1"]))([NAME]) == []


def test_run_opens_no_order_below_a_zone_that_nobody_serves(internet: Internet, lone_box: Box, tmp_path: Path) -> None:
    """Also for a name that is validated on a web server; its CA, which is silent, is not asked for anything."""
    internet.start(["example NS ns"], {"other.test": ["@ NS x"]})
    lone_box.document["acme"] = {"directory": "https://127.0.0.1:9/dir"}
    lone_box.write(dns={"resolvers": ["127.0.0.1:9"], "root_servers": [f"{ABOVE}:{internet.port}"]})
    lone_box.ok("populate", NAME, "--csr", "-", "--enable", "--webroot", str(tmp_path), stdin=csr([NAME]))
    for command in (["run", "--dry-run"], ["run"]):
        outcome = lone_box.run(*command)
        said = outcome.out + outcome.err
        assert "a CA would find nothing: zone example.test: " in said, said
        assert "none of the servers that test names serves it" in said
