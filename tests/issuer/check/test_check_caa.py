"""CAA as the world publishes it, climbed through a real resolver, against what a real directory says of its CA."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from issuer.dns.asking import NoAnswer
from issuer.dns.find.caa import relevant_caa
from issuer.dns.find.resolvers import Resolvers
from tests.issuer.box import Box
from tests.issuer.check.findings import findings, told
from tests.servers.bind import Bind
from tests.servers.ca_proxy import CaProxy, in_directory
from tests.servers.database import SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.ports import free_port, release_port
from tests.servers.resolver import Resolver

NAME = "www.example.test"
IDENTITIES = {"caaIdentities": ["ca.test"]}


@pytest.fixture
def box(lab: Lab, tmp_path: Path) -> Iterator[Box]:
    """A box whose CA calls itself ca.test, with a name that has a sub-zone."""
    with CaProxy(tmp_path / "proxy", lab.pebble) as proxy:
        proxy.after.append(in_directory(meta=IDENTITIES))
        made = Box(tmp_path / "box", SqliteDatabase(tmp_path), bind=lab.bind)
        made.document["acme"] = {"directory": proxy.directory, "ca_bundle": str(proxy.ca_file)}
        made.write(dns={"resolvers": [lab.bind.endpoint]})
        made.set_up()
        made.enrol(NAME)
        yield made


def publish(bind: Bind, *records: str) -> None:
    bind.static_zone("example.test", records)
    bind.reconfigure()


def test_another_ca_alone_is_bad(box: Box, lab: Lab) -> None:
    """A record two labels above the name shuts our CA out: bad, with where it stands."""
    publish(lab.bind, '@ CAA 0 issue "other.test"')
    found = told(findings(box), "bad", "forbids")
    assert found["subject"] == NAME
    assert "CAA at example.test" in found["finding"]
    assert found["what_to_do"]


def test_the_nearest_record_counts(box: Box, lab: Lab) -> None:
    """The name's own record allows what its parent's forbids."""
    publish(lab.bind, '@ CAA 0 issue ";"', 'www CAA 0 issue "ca.test"')
    assert "CAA at www.example.test" in told(findings(box), "ok", 'issue "ca.test"')["finding"]


def test_the_account_and_the_method_count(box: Box, lab: Lab) -> None:
    """accounturi has to be our account's URL, and validationmethods has to hold dns-01."""
    publish(lab.bind, '@ CAA 0 issue "ca.test; validationmethods=http-01"')
    told(findings(box), "bad", "does not allow validation by dns-01")
    publish(lab.bind, '@ CAA 0 issue "ca.test; accounturi=https://ca.test/acct/1"')
    told(findings(box), "bad", "which does not exist yet")
    box.ok("run")
    account = told(findings(box), "ok", "our account is")["finding"].removeprefix("our account is ")
    told(findings(box), "bad", f"allows another account than ours ({account})")
    publish(lab.bind, f'@ CAA 0 issue "ca.test; accounturi={account}; validationmethods=dns-01"')
    told(findings(box), "ok", "CAA allows it")


def test_the_record_to_paste_shuts_other_accounts_out(box: Box, lab: Lab) -> None:
    """`zone --caa` and `check` print it, a name server takes it, and from then on another account key gets nothing."""
    wild = f"*.{NAME}"
    printed = box.ok("zone", "--caa", NAME, wild).out.splitlines()
    lines = [record["line"] for record in box.ok("zone", "--caa", NAME, wild, "--json").report()]
    assert [line for line in lines if line in printed] == lines
    assert told(findings(box), "ok", "any account may have certificates")["finding"].endswith(lines[0])
    publish(lab.bind, *(line.replace(".example.test. 3600 IN", "") for line in lines))
    assert not [line for line in findings(box) if "any account" in line["finding"]]
    box.ok("run")
    (box.state_dir / "account.pem").rename(box.state_dir / "account.old")
    (box.state_dir / "accounts.json").unlink()
    box.ok("init")
    assert box.run("zone", "--caa", NAME).out  # registers the thief's account
    told(findings(box), "bad", "allows another account than ours")


def test_a_ca_that_does_not_tell_its_name(box: Box, lab: Lab) -> None:
    """There is no record to print, and that is said."""
    box.trust(lab.pebble)
    box.write(dns={"resolvers": [lab.bind.endpoint]})
    box.refused("zone", "--caa", NAME, code=1, says=["does not tell its name in CAA records"])


def test_a_wildcard_has_its_own_property(box: Box, lab: Lab) -> None:
    """issuewild decides for the wildcard, issue for the name beside it."""
    publish(lab.bind, '@ CAA 0 issue "ca.test"', '@ CAA 0 issuewild ";"')
    box.ok("remove", NAME, "--yes")
    box.populate(NAME, f"*.{NAME}")
    found = findings(box)
    assert told(found, "ok", 'issue "ca.test"')["subject"] == NAME
    assert told(found, "bad", 'issuewild ";" allows nobody')["subject"] == f"*.{NAME}"


def test_aliases_are_followed_at_every_step(tmp_path: Path) -> None:
    """The record set of a CNAME's target counts for the name; the target's own parents do not (RFC 8659 §3)."""
    with Bind(tmp_path / "bind") as bind, Resolver(tmp_path / "resolver", bind.endpoint) as resolver:
        bind.static_zone("example.test", ["www CNAME web.target.test.", "old CNAME bare.target.test."])
        bind.static_zone(
            "target.test", ['@ CAA 0 issue "parent.test"', 'web CAA 128 issue "ca.test"', "bare A 127.0.0.1"]
        )
        bind.reconfigure()
        resolvers = Resolvers([resolver.endpoint])
        owner, [record] = relevant_caa(resolvers, "*.www.example.test")
        assert (owner, record.flags, record.tag, record.value) == ("www.example.test", 128, "issue", "ca.test")
        assert relevant_caa(resolvers, "old.example.test") == ("", [])


def test_without_a_resolver_nothing_is_claimed(box: Box) -> None:
    """CAA that cannot be looked up is a warning here; a CA would refuse."""
    closed = free_port()
    try:
        with pytest.raises(NoAnswer):
            relevant_caa(Resolvers([f"127.0.0.1:{closed}"]), NAME)
        box.write(dns={"resolvers": [f"127.0.0.1:{closed}"]})
        told(findings(box), "warn", "CAA cannot be looked up")
    finally:
        release_port(closed)
