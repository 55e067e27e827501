"""A name that lives on a DNS wildcard is told, by `zone` and `check`, before and after its sub-zone takes it away."""

from collections.abc import Sequence

import pytest

from issuer.dns.find.resolvers import Resolvers
from issuer.dns.find.wildcard import wildcard_caution
from issuer.dns.servers import rrset_in
from tests.issuer.box import Box
from tests.issuer.check.findings import findings, told
from tests.servers.bind import Bind
from tests.servers.lab import Lab
from tests.servers.ports import free_port, release_port

DOMAIN = "example.test"
LIVES = "gets its records from a DNS wildcard"
LOST = "has no A, AAAA, CNAME or MX"


@pytest.fixture
def box(resolving_box: Box) -> Box:
    """A box whose resolver is the test's own."""
    return resolving_box


def publish(bind: Bind, records: Sequence[str]) -> None:
    bind.static_zone(DOMAIN, records)
    bind.reconfigure()


def parent_lines(box: Box, name: str) -> list[str]:
    """What `zone` prints for the parent."""
    [recipe] = box.ok("zone", name, "--ns", f"ns.{DOMAIN}", "--json").report()
    lines: list[str] = recipe["parent"].splitlines()
    return lines


def comments(lines: Sequence[str]) -> str:
    return "\n".join(line for line in lines if line.startswith(";"))


def has_address(bind: Bind, name: str) -> bool:
    return bool(rrset_in(Resolvers([bind.endpoint]).ask(name, "A").answer, "A"))


def test_a_host_on_a_wildcard_keeps_its_address(box: Box, lab: Lab) -> None:
    """The parent's lines as printed take the wildcard from the name: told before and after, until the name has records
    of its own."""
    name = f"new1.{DOMAIN}"
    records = [f"@ NS ns.{DOMAIN}.", "ns A 127.0.0.1", "* A 192.0.2.80"]
    publish(lab.bind, records)
    lines = parent_lines(box, name)
    assert f"; {name} {LIVES}" in comments(lines)
    assert f"; first give {name} the wildcard's records as its own" in comments(lines)
    box.add_zone(name)
    box.populate(name)
    assert "first give" in told(findings(box, name), "warn", f"{name}: {name} {LIVES}")["what_to_do"]

    assert has_address(lab.bind, name)
    publish(lab.bind, [*records, *lines])
    assert not has_address(lab.bind, name)
    assert f"; {name} {LOST}" in comments(parent_lines(box, name))
    warned = told(findings(box, name), "warn", f"{name}: {name} {LOST}")
    assert warned["what_to_do"].startswith(f"give {name} the wildcard's records as its own")

    publish(lab.bind, [*records, *lines, "new1 A 192.0.2.80"])
    said = str(findings(box, name)) + comments(parent_lines(box, name))
    assert LIVES not in said
    assert LOST not in said


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("name", "records", "before", "after"),
    [
        ("www", ["www A 192.0.2.80", "* A 192.0.2.80"], "", ""),  # records of its own, though the same
        ("www", ["* CNAME web.elsewhere.test."], LIVES, LOST),
        ("www", ["* MX 10 mail.elsewhere.test."], LIVES, LOST),
        ("a.b", ["* AAAA 2001:db8::80"], LIVES, LOST),  # b goes with it
        ("a.b", ["*.b A 192.0.2.80", "* A 192.0.2.81"], LIVES, LOST),
        ("a.b", ["b A 192.0.2.1", "* A 192.0.2.80"], "", ""),  # b keeps the wildcard from it anyway
        ("www", ["www A 192.0.2.80"], "", ""),
        ("www", [], "", ""),
        ("", ["@ A 192.0.2.80", "* A 192.0.2.80"], "", ""),
        ("", ["* A 192.0.2.80"], "", ""),
    ],
)
def test_who_has_something_to_lose(bind: Bind, name: str, records: list[str], before: str, after: str) -> None:
    """By its own answer, that of a random name beside it and that of one below it; with and without the sub-zone."""
    full = f"{name}.{DOMAIN}".removeprefix(".")
    for sub_zone, expected in (([], before), ([f"_acme-challenge.{full}. NS ns.{DOMAIN}."], after)):
        publish(bind, [f"@ NS ns.{DOMAIN}.", "ns A 127.0.0.1", *records, *sub_zone])
        caution = wildcard_caution(Resolvers([bind.endpoint]), full)
        assert (caution is not None, expected in str(caution)) == (bool(expected), True)


def test_a_zone_of_its_own_below_a_wildcard(bind: Bind) -> None:
    """The top of a zone exists by itself, whatever the zone above has for others."""
    bind.static_zone(f"shop.{DOMAIN}", ["@ NS ns.elsewhere.test."])
    publish(bind, [f"@ NS ns.{DOMAIN}.", "ns A 127.0.0.1", "shop NS ns.elsewhere.test.", "* A 192.0.2.80"])
    assert wildcard_caution(Resolvers([bind.endpoint]), f"shop.{DOMAIN}") is None


def test_without_a_resolver_the_sub_zone_is_printed(box: Box) -> None:
    """On a machine without a network `zone` prints everything, and what could not be seen; `check` says so too."""
    closed = free_port()
    box.write(dns={"resolvers": [f"127.0.0.1:{closed}"]})
    lines = parent_lines(box, f"www.{DOMAIN}")
    assert f"_acme-challenge.www.{DOMAIN}. IN NS ns.{DOMAIN}." in lines
    assert f"; no resolver told whether a DNS wildcard answers for www.{DOMAIN}" in comments(lines)
    box.enrol(f"www.{DOMAIN}")
    told(findings(box), "warn", "cannot look up whether a DNS wildcard answers for it")
    release_port(closed)
