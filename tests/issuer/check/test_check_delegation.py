"""What is wrong between a sub-zone and its parent, seen by a check on servers with addresses of their own."""

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from common.check_line import Level, Line
from issuer.ca.client import AcmeCa
from issuer.check.installation import authority_lines
from issuer.dns.find.delegation import Delegation
from issuer.dns.probe.verdicts import RoundTrip, delegation_lines, server_lines, soa_line
from issuer.dns.probe.zone_probe import probe
from issuer.dns.zones import Zones
from issuer.model.acme import CaIdentity, Laggard
from issuer.model.config import CaSettings, DnsSettings
from issuer.rules.findings import clock_line
from tests.issuer.dns.test_dns_delegation import HOSTS, ZONE, World
from tests.issuer.dns.test_zone_recipes import make_key

NAME = "www.example.test"


class Checked(World):
    """The same world, whose children take updates."""

    def check(
        self, folder: Path, parent: Sequence[str], child: Sequence[str], *, ahead: float = 0, ours: Sequence[str] = ()
    ) -> list[Line]:
        """The findings about the sub-zone, with our clock so many seconds *ahead*. *ours*: `nameservers`."""
        key = make_key(folder)
        words = key.read_text(encoding="ascii").split('"')
        self.parent.static_zone("example.test", [*HOSTS, *parent])
        self.children.paste(f'key:\n  - id: acme\n    algorithm: hmac-sha256\n    secret: "{words[3]}"\n')
        self.children.paste("acl:\n  - id: certfleet\n    key: acme\n    action: update\n")
        soa = "@ SOA ns1.example.test. noc.example.test. 1 3600 600 86400 60\n"
        file = self.children.zone_file(ZONE, f"$ORIGIN {ZONE}.\n$TTL 60\n{soa}" + "\n".join([*child, ""]))
        self.children.paste(f'zone:\n  - domain: "{ZONE}"\n    file: "{file}"\n    acl: certfleet\n')
        for server in (self.parent, self.children, self.resolver):
            server.start()
        resolvers, ours = (self.resolver.endpoint,), tuple(f"{address}:{self.port}" for address in ours)
        settings = DnsSettings("127.0.0.3", self.port, key, resolvers=resolvers, nameservers=ours)
        zones = Zones(settings, port=self.port)
        return probe(zones, zones.locate(NAME), lambda: time.time() + ahead, 1.0, threading.Event().wait)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Checked]:
    made = Checked(tmp_path)
    try:
        yield made
    finally:
        made.close()


def said(lines: list[Line], level: Level) -> str:
    return "\n".join(line.sentence for line in lines if line.level is level)


def test_a_sound_delegation_is_said_and_every_server_timed(world: Checked, tmp_path: Path) -> None:
    """Both name servers show the record, the lists agree, and nothing is warned of."""
    names = ["_acme-challenge.www NS ns2", "_acme-challenge.www NS ns3"]
    world.resolver.forwards[ZONE] = f"127.0.0.4:{world.port}"
    lines = world.check(tmp_path, names, ["@ NS ns2.example.test.", "@ NS ns3.example.test."])
    assert {line.level for line in lines} == {Level.OK}, "\n".join(map(str, lines))
    well = said(lines, Level.OK)
    assert "example.test delegates it to ns2.example.test, ns3.example.test" in well
    for address in ("127.0.0.4", "127.0.0.5"):
        assert f"({address}:{world.port}) shows a new record after" in well
    assert world.children.txt(ZONE) == set()


def test_two_lists_that_differ_are_a_warning_and_two_clocks_too(world: Checked, tmp_path: Path) -> None:
    """The parent and the zone name different servers: each difference is said; so is how far the server's clock is from
    ours."""
    lines = world.check(tmp_path, ["_acme-challenge.www NS ns2"], ["@ NS ns3.example.test."], ahead=-125)
    warned = said(lines, Level.WARN)
    assert "its clock and ours are 2m apart" in warned
    assert "only example.test names ns2.example.test and only the zone itself names ns3.example.test" in warned


def test_a_lame_server_is_bad(world: Checked, tmp_path: Path) -> None:
    """The delegation names a server that does not serve the zone."""
    lines = world.check(
        tmp_path, ["_acme-challenge.www NS ns2", "_acme-challenge.www NS ns0"], ["@ NS ns2.example.test."]
    )
    place = f"ns0.example.test (127.0.0.2:{world.port})"
    assert f"{place}: is not authoritative for it (lame delegation)" in said(lines, Level.BAD)


def test_a_lame_server_that_is_none_of_ours_is_bad(world: Checked, tmp_path: Path) -> None:
    """`nameservers` names the one that is well; a CA may ask the other."""
    names = ["_acme-challenge.www NS ns2", "_acme-challenge.www NS ns0"]
    lines = world.check(tmp_path, names, ["@ NS ns2.example.test."], ours=["127.0.0.4"])
    assert f"ns0.example.test (127.0.0.2:{world.port}) does not serve it (lame)" in said(lines, Level.BAD)


def test_a_server_inside_the_zone_needs_glue(world: Checked, tmp_path: Path) -> None:
    """Without glue nobody can find it: bad; other glue than its own address record: a warning."""
    world.resolver.forwards[ZONE] = f"127.0.0.4:{world.port}"
    parent = [f"_acme-challenge.www NS {host}" for host in (f"ns.{ZONE}.", f"moved.{ZONE}.", "ns2")]
    glue = f"moved.{ZONE}. A 127.0.0.5"
    lines = world.check(tmp_path, [*parent, glue], ["@ NS ns2.example.test.", "moved A 127.0.0.4"])
    assert f"example.test has no glue for ns.{ZONE}" in said(lines, Level.BAD)
    stale = f"the glue of moved.{ZONE} says 127.0.0.5, its address records say 127.0.0.4"
    assert stale in said(lines, Level.WARN)


def test_a_server_without_an_address_is_a_warning(world: Checked, tmp_path: Path) -> None:
    """Nobody can ask it, whichever of the two lists names it; the others are enough for now. Once for each host."""
    world.resolver.forwards[ZONE] = f"127.0.0.4:{world.port}"
    parent = [f"_acme-challenge.www NS {host}" for host in ("ns2", "gone", f"ns.{ZONE}.")]
    lines = world.check(tmp_path, parent, ["@ NS ns2.example.test.", "@ NS gone.example.test.", f"@ NS also.{ZONE}."])
    warned = said(lines, Level.WARN)
    for host in ("gone.example.test", f"also.{ZONE}"):
        assert warned.count(f"its name server {host} has no address") == 1, warned
    assert f"its name server ns.{ZONE}" not in warned
    assert f"no glue for ns.{ZONE}" in said(lines, Level.BAD)


def test_no_delegation_is_bad(world: Checked, tmp_path: Path) -> None:
    """The zone takes updates, but the parent does not know it."""
    lines = world.check(tmp_path, [], ["@ NS ns2.example.test."])
    [line] = [line for line in lines if line.level is Level.BAD]
    assert "is not delegated" in line.sentence
    assert "add the delegation" in line.hint


def test_a_zone_that_only_our_resolvers_know_is_a_warning(world: Checked, tmp_path: Path) -> None:
    """An inner view finds the zone, the parent does not delegate it: fine for a CA inside, and said."""
    world.resolver.forwards[ZONE] = f"127.0.0.4:{world.port}"
    lines = world.check(tmp_path, [], ["@ NS ns2.example.test."])
    assert said(lines, Level.BAD) == ""
    assert "example.test does not delegate it" in said(lines, Level.WARN)


class Ca(AcmeCa):
    """A CA that says what a test wants."""

    directory = "https://ca.test/dir"
    offers_renewal_info = True

    def __init__(self, now: float, **meta: object) -> None:
        self._now, self._meta = now, meta

    def meta(self) -> dict[str, object]:
        return self._meta

    def identity(self, account: str) -> CaIdentity:
        return CaIdentity(self.directory, ("ca.test",), account)

    def find_account(self) -> str:
        return "https://ca.test/acct/1"

    def disowns(self, order_url: str) -> bool:
        return "theirs" in order_url

    def clock(self) -> float:
        return self._now


def test_what_a_ca_offers_and_wants(tmp_path: Path) -> None:
    """ARI and profiles are said; a binding it wants, a profile it lacks and a clock far off are not well."""
    settings = CaSettings(profile="shortlived", profile_required=True)
    ca = Ca(1_000_000, profiles={"classic": "x"}, externalAccountRequired=True)
    lines = authority_lines(ca, settings, lambda: 1_010_000, ["https://ca.test/order/ours"], first=True)
    assert said(lines, Level.WARN) == ""
    assert "renewal information (ARI), profiles classic" in said(lines, Level.OK)
    assert said(lines, Level.BAD).splitlines() == [
        "it wants new accounts bound to one of its own (EAB)",
        "it does not offer the profile 'shortlived'",
        "its clock and ours are 2h 46m apart",
    ]


@pytest.mark.parametrize(("first", "place"), [(True, "in [acme]"), (False, "in its [[acme.fallback]]")])
def test_a_missing_profile_names_its_table(place: str, *, first: bool) -> None:
    """Each CA has its own profile."""
    lines = authority_lines(Ca(1_000_000), CaSettings(profile="shortlived"), lambda: 1_000_000, [], first=first)
    assert f"change profile {place}" in [line.hint for line in lines]


def test_the_rules_about_numbers() -> None:
    """Where ok ends and warn or bad begins."""
    levels = [clock_line("x", apart, signed=True).level.value for apart in (0, 30, 31, 300, 301)]
    assert levels == ["ok", "ok", "warn", "warn", "bad"]
    assert [soa_line("z", *times).level.value for times in ((300, 9), (9, 301), (301, 301))] == ["ok", "ok", "warn"]
    [unseen] = delegation_lines(Delegation("z", "", (), (), (), ()))
    assert (unseen.level, unseen.hint) == (Level.WARN, "set resolvers in [dns]")


@pytest.mark.parametrize(
    ("serial", "newest", "says", "do"),
    [
        (4, 5, "; its serial is 4, 5 where updates go", "look at NOTIFY and zone transfer"),
        (5, 5, "; its serial is 5, the same as where updates go", "another zone or view of that name"),
        (7, 5, "; its serial is 7, 5 where updates go", "raise the serial above 7"),
        (2**32 - 1, 0, "; its serial is 4294967295, 0 where updates go", "look at NOTIFY and zone transfer"),
        (None, 5, "", "look at NOTIFY and zone transfer"),
        (5, None, "", "look at NOTIFY and zone transfer"),
    ],
)
def test_what_serials_tell(serial: int | None, newest: int | None, says: str, do: str) -> None:
    """Behind, another zone, or ahead, by the arithmetic of serials (RFC 1982): each has its own remedy."""
    serials = {} if serial is None else {"ns2": serial}
    laggards, unasked_servers = [Laggard("ns2", "no answer within 2 s")], [("ns3", "no route")]
    watch = RoundTrip([("ns1", 0.5)], laggards, 10.2, unasked_servers, serials, newest)
    shown, unasked, late = server_lines("z", watch)
    assert str(shown) == "ok   zone z: ns1 shows a new record after 0.50 s"
    assert (unasked.level, unasked.sentence) == (Level.WARN, "ns3 cannot be looked at from here: no route")
    assert (late.level, late.sentence) == (Level.BAD, f"after 10 s ns2: no answer within 2 s{says}")
    assert do in late.hint


def test_who_does_not_answer_needs_no_notify() -> None:
    """A server that is down or behind a firewall is called so."""
    [line] = server_lines("z", RoundTrip([], [Laggard("ns2", "Connection refused")], 10.2, newest=5, away=["ns2"]))
    assert line.hint == "it is down, or a firewall keeps us from it: start it, or open port 53 (TCP and UDP)"
