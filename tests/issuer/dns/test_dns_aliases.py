"""A challenge name that is an alias is followed to the record that can really be written, and no further."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.servers.bind import Bind
from tests.servers.ca_proxy import CaProxy, Reply, Request, json_reply
from tests.servers.database import SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.pebble import Pebble
from tests.servers.resolver import Resolver

TARGET = "acme.example.net"


def challenge(name: str) -> str:
    return f"_acme-challenge.{name}"


@pytest.fixture
def box(lab: Lab, tmp_path: Path) -> Iterator[Box]:
    """A box that is set up. Its CA asks through a resolver: an authoritative server does not follow aliases for it."""
    with (
        Resolver(tmp_path / "resolver", lab.bind.endpoint) as resolver,
        Pebble(tmp_path / "ca", resolver.endpoint) as pebble,
    ):
        made = Box(tmp_path / "box", SqliteDatabase(tmp_path), bind=lab.bind, pebble=pebble)
        made.set_up()
        yield made


def writable(bind: Bind, *owners: str) -> None:
    """The validation zone, in which these names may be written."""
    bind.dynamic_zone(TARGET, "acme", [f"{owner}.{TARGET}" for owner in owners], records=["old TXT of-others"])


def test_a_cname_leads_to_the_record_that_is_written(box: Box, lab: Lab) -> None:
    """The TXT value goes to the end of a chain of CNAMEs, into another zone, and is taken back there."""
    chain = ["_acme-challenge.www CNAME hop.example.test.", f"hop CNAME www.{TARGET}."]
    lab.bind.static_zone("example.test", chain)
    writable(lab.bind, "www")
    lab.bind.reconfigure()
    name = box.populate("www.example.test")
    box.ok("run")
    assert box.row(name, "crt") != (None,)
    assert lab.bind.serial(TARGET) == 3
    assert lab.bind.txt(f"www.{TARGET}") == set()


@pytest.mark.soak
def test_a_dname_above_is_followed_too(box: Box, lab: Lab) -> None:
    """A DNAME moves the challenge name below it to where it points (RFC 6672)."""
    lab.bind.static_zone("example.test", [f"shop DNAME {TARGET}."])
    writable(lab.bind, "_acme-challenge.a", "_acme-challenge")
    lab.bind.reconfigure()
    box.populate("a.shop.example.test")
    box.ok("run")
    assert lab.bind.serial(TARGET) == 3


def test_the_zone_of_the_target_decides_about_server_and_key(box: Box, lab: Lab, tmp_path: Path) -> None:
    """The source name lives on a server that is never updated: the resolvers tell the alias, and the target's
    [[dns.zone]] the server and the key, even without any server for the rest."""
    with Bind(tmp_path / "source") as source:
        source.static_zone("example.org", [f"_acme-challenge.www CNAME www.{TARGET}."])
        source.reconfigure()
        writable(lab.bind, "www")
        lab.bind.reconfigure()
        with Resolver(tmp_path / "both", source.endpoint, {TARGET: lab.bind.endpoint}) as resolver:
            dns = box.document["dns"]
            dns["zone"] = [{"name": TARGET, **{key: dns.pop(key) for key in ("server", "port", "tsig_key_file")}}]
            dns["zone"][0]["nameservers"] = dns.pop("nameservers")
            dns["resolvers"] = [resolver.endpoint]
            with Pebble(tmp_path / "another", resolver.endpoint) as pebble:
                box.trust(pebble)
                box.write()
                box.populate("www.example.org")
                box.ok("run")
    assert lab.bind.serial(TARGET) == 3


@pytest.mark.soak
def test_a_circle_of_aliases_is_refused(box: Box, lab: Lab) -> None:
    """Aliases that lead back to where they came from cost no order and are named, every step of the way."""
    circle = ["_acme-challenge.www CNAME a.example.test.", "a CNAME b.example.test.", "b CNAME a.example.test."]
    lab.bind.static_zone("example.test", circle)
    lab.bind.reconfigure()
    name = box.populate("www.example.test")
    box.fails("run", says=["leads in a circle", "a.example.test → b.example.test → a.example.test"])
    assert box.orders(name) == []


@pytest.mark.soak
def test_an_endless_chain_is_refused(box: Box, lab: Lab) -> None:
    """Nine aliases in a row are more than a resolver may be expected to follow."""
    chain = [f"a{number} CNAME a{number + 1}.example.test." for number in range(12)]
    lab.bind.static_zone("example.test", ["_acme-challenge.www CNAME a0.example.test.", *chain])
    lab.bind.reconfigure()
    box.populate("www.example.test")
    box.fails("run", says=["a chain of more than 8"])


@pytest.mark.soak
def test_a_wildcard_cname_is_no_alias(box: Box, lab: Lab) -> None:
    """In a zone that may be written, `* CNAME www` is hidden by the TXT record itself: the name is written as it is."""
    records = ["www A 127.0.0.1", "* CNAME www.example.test."]
    lab.bind.dynamic_zone("example.test", "acme", [challenge("new.example.test")], records=records)
    lab.bind.reconfigure()
    box.populate("new.example.test")
    box.ok("run")
    assert lab.bind.serial("example.test") == 3


@pytest.mark.soak
def test_a_zone_above_what_was_configured_is_refused(box: Box, lab: Lab) -> None:
    """The sub-zone is missing on its server, so that the SOA found is the parent's: the parent is never written."""
    lab.bind.dynamic_zone("example.test", "acme", [challenge("www.example.test")])
    lab.bind.reconfigure()
    dns = box.document["dns"]
    dns["zone"] = [{"name": "www.example.test", "tsig_key_file": dns["tsig_key_file"]}]
    box.write()
    box.populate("www.example.test")
    box.fails("run", says=["is in the zone example.test", "above the [[dns.zone]] www.example.test"])
    assert lab.bind.serial("example.test") == 1


@pytest.mark.soak
def test_a_name_that_the_server_delegates_away_is_refused(box: Box, lab: Lab) -> None:
    """An update there would be written below a zone cut, where nobody ever sees it."""
    cut = ["_acme-challenge.www NS ns.elsewhere.test.", "ns A 127.0.0.1"]
    lab.bind.dynamic_zone("example.test", "acme", [challenge("www.example.test")], records=cut)
    lab.bind.reconfigure()
    box.write(dns={"resolvers": [lab.bind.endpoint]})
    box.populate("www.example.test")
    box.fails("run", says=["it delegates _acme-challenge.www.example.test to ns.elsewhere.test"])
    assert lab.bind.serial("example.test") == 1


@pytest.mark.soak
def test_a_name_in_no_zone_of_the_server_is_refused(box: Box, lab: Lab) -> None:
    """The server answers for other zones only, and no alias leads there."""
    box.write(dns={"resolvers": [lab.bind.endpoint]})
    box.populate("www.example.test")
    box.fails("run", says=["serves no zone that _acme-challenge.www.example.test is in", "it is no alias"])


@pytest.mark.sampled
@pytest.mark.parametrize("workers", [1, 8])
def test_many_orders_share_one_record(tmp_path: Path, workers: int) -> None:
    """Seven names and a wildcard in six orders, all aliases of one TXT owner and under way together: their values stand
    side by side, each is taken back exactly, the value of somebody else survives, and every order succeeds."""
    names = [f"n{number}.example.test" for number in range(5)]
    owner = f"shared.{TARGET}"
    with ExitStack() as servers:
        bind = servers.enter_context(Bind(tmp_path / "bind"))
        resolver = servers.enter_context(Resolver(tmp_path / "resolver", bind.endpoint))
        pebble = servers.enter_context(Pebble(tmp_path / "pebble", resolver.endpoint))
        (tmp_path / "proxy").mkdir()
        proxy = servers.enter_context(CaProxy(tmp_path / "proxy", pebble))
        box = Box(tmp_path / "box", SqliteDatabase(tmp_path), bind=bind)
        where = {"directory": proxy.directory, "ca_bundle": str(proxy.ca_file)}
        box.write(acme={**where, "workers": workers})
        box.set_up()
        aliases = [f"{challenge(label)} CNAME {owner}." for label in ("n0", "n1", "n2", "n3", "n4", "w")]
        bind.static_zone("example.test", [f"{line}" for line in aliases])
        bind.dynamic_zone(TARGET, "acme", [owner], records=['shared TXT "of-somebody-else"'])
        bind.reconfigure()
        for name in names:
            box.populate(name)
        box.populate("w.example.test", "*.w.example.test")
        together = threading.Event()

        def not_before_all_are_there(request: Request, reply: Reply) -> Reply:
            if len(bind.txt(owner)) == 1 + len(names) + 2:
                together.set()
            if "/my-order/" not in request.path or together.is_set():
                return reply
            return json_reply({**json.loads(reply.body), "status": "pending"})

        proxy.after.append(not_before_all_are_there)
        box.ok("run")
        assert together.is_set()
        assert bind.txt(owner) == {"of-somebody-else"}
