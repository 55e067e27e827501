"""Firewalls: what becomes a passage, how it is reached, and real nftables, which let out what we list alone."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial

import pytest

from common.egress import FORMATS
from common.egress.certified import Certified
from common.egress.lists import listed
from common.egress.needs import (
    Found,
    Need,
    Passage,
    Reach,
    Reached,
    Sighting,
    Spot,
    by_url,
    merged,
    plain_host,
    sightings,
    spots_of,
    with_reached,
)
from common.egress.reach import reach, resolve
from common.egress.show import short_lived
from tests.servers.authority import Authority, asked_at
from tests.servers.network import Network
from tests.servers.process import program, wait_until

LISTED, LISTED6, OTHER = "192.0.2.10", "2001:db8::10", "192.0.2.20"


def found(*addresses: str, host: str = "acme.example.com", port: int = 443, **facts: int | None) -> Found:
    """A passage whose host has these addresses now."""
    values = {"ttl": None, "first": 100, "last": 100} | facts
    seen = tuple(Sighting(address, **values) for address in addresses)  # type: ignore[arg-type]
    return Found(Passage(host, port, "tcp", ("ACME",), ours=True), seen)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://acme.example.com/directory", ("acme.example.com", 443)),
        ("http://R10.c.example.org./3.crl", ("r10.c.example.org", 80)),
        ("https://[2001:DB8::1]:14000/dir", ("2001:db8::1", 14000)),
        ("ldap://ca.example.com/cn=x", ("ca.example.com", 389)),
        ("https://bad host/", None),
        ("https://a;b.example.com/", None),
        ("https://fe80::1%eth0/", None),
        ("https://acme.example.com:99999/", None),
        ("https://1.2.3.999/", None),
        ("urn:x", None),
    ],
)
def test_a_url_is_a_passage_only_with_a_host_of_its_own(url: str, place: tuple[str, int] | None) -> None:
    """URLs come from CAs and certificates: what could be anything else than a host never reaches a list."""
    assert [(one.host, one.port) for one in merged(by_url(url, "ACME"))] == ([place] if place else [])


def test_the_needs_of_one_place_are_one_passage() -> None:
    """It says for what; it is ours if any of them is."""
    needs = [
        Need("Crl.example.com", 80, "tcp", "CRL", ours=False),
        Need("crl.example.com.", 80, "tcp", "ACME"),
        Need("crl.example.com", 80, "tcp", "CRL", ours=False),
        Need("crl.example.com", 80, "udp", "x", ours=False),
    ]
    passages = [Passage("crl.example.com", 80, "tcp", ("CRL", "ACME"), True)]
    assert merged(needs) == [*passages, Passage("crl.example.com", 80, "udp", ("x",), False)]
    assert plain_host("_x.example.com") == "_x.example.com"


def test_what_certificates_name() -> None:
    """CRL, OCSP and issuer of leaf and chain, with the number of certificates; what cannot be read is passed over."""
    certified, authority = Certified(), Authority("Root")
    authority.added = asked_at(crl="http://c.example.org/root.crl", issuer="http://i.example.org/")
    sub = authority.intermediate("Sub")
    sub.added = asked_at(ocsp="http://o.example.org:8080/", crl="ldap:///cn=Sub?certificateRevocationList")
    for name in ("a.example.com", "b.example.com"):
        issued = sub.issue([name])
        certified.add(issued.cert_pem, issued.chain_pem)
    certified.add(b"-----BEGIN CERTIFICATE-----", b"")
    assert {(need.host, need.port, need.why, need.ours) for need in certified.needs} == {
        ("c.example.org", 80, "CRL of 2 certificates", False),
        ("i.example.org", 80, "issuer of 2 certificates", False),
        ("o.example.org", 8080, "OCSP of 2 certificates", False),
    }


def test_addresses_of_before_stay() -> None:
    """First and last moment, the longest TTL that was seen, and what this look has not seen."""
    before = [Sighting("192.0.2.1", 20, 100, 200, now=False), Sighting("192.0.2.9", 20, 100, 200, now=False)]
    assert sightings({"192.0.2.1": 5, "192.0.2.2": None}, before, 300) == (
        Sighting("192.0.2.1", 20, 100, 300, now=True),
        Sighting("192.0.2.2", None, 300, 300, now=True),
        Sighting("192.0.2.9", 20, 100, 200, now=False),
    )


@pytest.mark.parametrize(
    ("ttl", "interval", "warned"), [(60, 300, True), (299, 300, True), (300, 300, False), (None, 300, False)]
)
def test_a_firewall_that_looks_too_rarely_is_told(ttl: int | None, interval: int, warned: bool) -> None:
    """Where the TTL is shorter than its interval, with what helps."""
    warnings = short_lived([found(LISTED, ttl=ttl)], interval, "5m")
    assert bool(warnings) is warned
    assert not warned or (f"acme.example.com ({ttl} s)" in warnings[0] and "It helps" in warnings[0])


def test_each_list_has_every_address() -> None:
    """Those of before too: a firewall resolves at other moments than we do."""
    several = [found(LISTED, LISTED6), found(OTHER, host="crl.example.com", port=80)]
    texts = {form: listed(several, form) for form in FORMATS}
    assert texts["plain"] == [LISTED, OTHER, LISTED6]
    assert texts["pfsense"] == [f"{LISTED} acme.example.com", f"{OTHER} crl.example.com", f"{LISTED6} acme.example.com"]
    assert f"tcp|out|d=443|d={LISTED} # acme.example.com" in texts["csf"]
    assert f"tcp|out|d=443|d={LISTED6} # acme.example.com" in texts["csf"]
    assert f"add element inet filter certfleet_out4 {{ {OTHER} . tcp . 80 }}" in texts["nftables"]
    assert all("no promise" in texts[form][0] for form in ("csf", "nftables"))


@pytest.mark.parametrize(
    ("states", "well", "family"),
    [
        ([(LISTED, Reach.OPEN), (LISTED6, Reach.NO_ROUTE)], True, "reachable"),
        ([(LISTED, Reach.OPEN), (LISTED6, Reach.CLOSED)], False, "reachable"),
        ([(LISTED, Reach.OPEN), (OTHER, Reach.CLOSED)], False, "partly reachable"),
        ([(LISTED6, Reach.NO_ROUTE)], False, "no address"),
        ([], False, "no address"),
    ],
)
def test_one_address_that_is_not_reached_is_not_well(states: list[tuple[str, Reach]], well: bool, family: str) -> None:
    """A firewall that lets three of four addresses out makes every fourth connection fail."""
    one = Found(found().passage, (), tuple((address, Reached(state)) for address, state in states))
    assert (one.well, one.state(ipv6=False)) == (well, family)


@pytest.fixture
def network() -> Iterator[Network]:
    with Network([f"{LISTED}/32", f"{OTHER}/32", f"{LISTED6}/128"]) as made:
        yield made


@pytest.fixture
def ports(network: Network) -> Iterator[dict[str, int]]:
    """A listener on each address."""
    with ExitStack() as opened:
        made = {}
        for address in (LISTED, OTHER, LISTED6):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = opened.enter_context(closing(socket.create_server((address, 8443), family=family)))
            made[address] = listener.getsockname()[1]
            wait_until(partial(_is_reached, address), f"{address} is in use")  # a new one is not at once
        yield made


def _is_reached(address: str) -> bool:
    try:
        socket.create_connection((address, 8443), timeout=10).close()
    except OSError:
        return False
    return True


wants_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network")


@wants_root
def test_what_comes_of_a_connection(ports: dict[str, int]) -> None:
    """Open, refused, without a route, silent; all side by side and within the time limit; by UDP an answer counts."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as udp, closing(_silent()) as silent:
        udp.bind((LISTED, 53))
        threading.Thread(target=lambda: udp.sendto(b"x", udp.recvfrom(512)[1]), daemon=True).start()
        silent.bind((OTHER, 53))
        spots = [Spot(LISTED, 8443, "tcp"), Spot(LISTED, 1, "tcp"), Spot("198.51.100.1", 443, "tcp")]
        spots += [Spot(LISTED6, 8443, "tcp"), Spot(LISTED, 53, "udp"), Spot(OTHER, 53, "udp"), Spot(OTHER, 54, "udp")]
        states = [one.reach for one in reach(spots, 0.5).values()]
    yes, no = Reach.OPEN, Reach.CLOSED
    assert states == [yes, no, Reach.NO_ROUTE, yes, yes, no, no]


def _silent() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


@wants_root
def test_real_nftables_let_out_what_is_listed_and_nothing_else(ports: dict[str, int]) -> None:
    """Our list is loaded twice, as a timer would, into a firewall that lets nothing else out; then an address that has
    left the list is out of the sets too."""
    chain = "add chain inet filter output { type filter hook output priority 0; policy drop; }\n"
    chain += "add rule inet filter output ct state established,related accept\n"
    chain += "add rule inet filter output ip daddr . meta l4proto . th dport @certfleet_out4 accept\n"
    chain += "add rule inet filter output ip6 daddr . meta l4proto . th dport @certfleet_out6 accept\n"
    rules = listed([found(LISTED, LISTED6, port=8443)], "nftables")
    assert _open(ports) == {LISTED: True, LISTED6: True, OTHER: True}
    _nft("\n".join(rules) + "\n" + chain)
    _nft("\n".join(rules) + "\n")
    assert _open(ports) == {LISTED: True, LISTED6: True, OTHER: False}
    one = with_reached([found(LISTED, OTHER, port=8443)], reach(spots_of([found(LISTED, OTHER, port=8443)]), 0.3))[0]
    assert (one.well, one.state(ipv6=False)) == (False, "partly reachable")
    _nft("\n".join(listed([found(OTHER, port=8443)], "nftables")) + "\n")
    assert _open(ports) == {LISTED: False, LISTED6: False, OTHER: True}


def _open(ports: dict[str, int]) -> dict[str, bool]:
    states = reach([Spot(address, port, "tcp") for address, port in ports.items()], 0.3)
    return {spot.address: one.reach is Reach.OPEN for spot, one in states.items()}


def _nft(text: str) -> None:
    done = subprocess.run(
        [program("nft", "nftables"), "-f", "-"], check=False, input=text, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 0, done.stderr


def test_a_name_that_is_none_is_said() -> None:
    """Each host by itself, addresses included."""
    answers = resolve(["127.0.0.1", "no-such-name.invalid", "localhost"], 20)
    assert answers["127.0.0.1"].addresses == ("127.0.0.1",)
    assert "127.0.0.1" in answers["localhost"].addresses
    assert answers["no-such-name.invalid"].addresses == ()
    assert answers["no-such-name.invalid"].why
