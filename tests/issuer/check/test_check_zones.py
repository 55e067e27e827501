"""`check` of sub-zones on real name servers: a test record comes and goes, and each fault is named with what to do."""

import math
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import dns.message
import dns.rdatatype
import pytest

from issuer.dns.asking import NoAnswer, ask_each
from issuer.dns.probe import zone_probe
from issuer.dns.probe.zone_probe import new_value, stale
from issuer.dns.servers import Server
from tests.issuer.box import Box
from tests.issuer.check.findings import bad_ones, findings, told
from tests.servers.bind import Bind
from tests.servers.lab import Lab
from tests.servers.process import wait_until

NAME = "www.example.test"


@pytest.fixture
def box(resolving_box: Box) -> Box:
    """A box that is set up, and whose resolver is the test's own."""
    return resolving_box


def test_a_key_with_another_secret(box: Box, lab: Lab) -> None:
    """The name server's own word and what to do about it are in the finding."""
    box.enrol(NAME)
    key = Path(box.document["dns"]["tsig_key_file"])
    lines = key.read_text(encoding="ascii").splitlines()
    key.write_text("\n".join('  secret "AAAA";' if "secret" in line else line for line in lines), encoding="ascii")
    assert "copy the key acme" in told(findings(box, NAME), "bad", "BADSIG")["what_to_do"]
    assert lab.bind.serial(f"_acme-challenge.{NAME}") == 1


def test_a_server_that_does_not_follow(box: Box, lab: Lab, tmp_path: Path) -> None:
    """The server that does not show the record in time is bad, the other is timed, and the record is removed."""
    box.enrol(NAME)
    with Bind(tmp_path / "late", secondary_of=lab.bind, lag_seconds=math.inf) as late:
        lab.bind.reconfigure()
        box.write(dns={"nameservers": [lab.bind.endpoint, late.endpoint]})
        found = findings(box, NAME, "--wait", "3s")
    lagging = told(found, "bad", f"{late.endpoint}: does not show 1 of 1 values yet")
    assert lagging["finding"].endswith("its serial is 1, 2 where updates go")
    assert "NOTIFY and zone transfer" in lagging["what_to_do"]
    told(found, "ok", f"{lab.bind.endpoint} shows a new record")
    assert box.txt(NAME) == set()


def test_a_server_that_follows_just_then(box: Box, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the last look of a short wait and the question for its serial it catches up: it holds the right zone."""
    box.enrol(NAME)
    with Bind(tmp_path / "late", secondary_of=lab.bind, lag_seconds=math.inf) as late:
        lab.bind.reconfigure()
        box.write(dns={"nameservers": [lab.bind.endpoint, late.endpoint]})

        def after_a_moment(
            asked: Sequence[Server], query: dns.message.QueryMessage
        ) -> dict[Server, dns.message.Message | NoAnswer]:
            if late.endpoint in map(str, asked) and query.question[0].rdtype == dns.rdatatype.SOA:
                late.refresh()
            return ask_each(asked, query)

        monkeypatch.setattr(zone_probe, "ask_each", after_a_moment)
        found = findings(box, NAME, "--wait", "0s")
    assert bad_ones(found) == []
    told(found, "ok", f"{late.endpoint} shows a new record")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_check_tidies_up(box: Box, lab: Lab, tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM in the middle of the wait: the record is removed before the process ends, with code 130."""
    box.enrol(NAME)
    with Bind(tmp_path / "late", secondary_of=lab.bind, lag_seconds=math.inf) as late:
        lab.bind.reconfigure()
        box.write(dns={"nameservers": [lab.bind.endpoint, late.endpoint]})
        running = box.start("check", NAME)
        wait_until(lambda: bool(box.txt(NAME)), "the record is there")
        running.send_signal(number)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert err.endswith("interrupted\n")
    assert box.txt(NAME) == set()


def test_what_a_killed_check_left_is_removed(box: Box, lab: Lab, tmp_path: Path) -> None:
    """A value of ours that is older than any check may last goes; a younger one, and those of others, stay."""
    fresh, old = new_value(time.time() - 60), new_value(time.time() - 3600)
    others = [f'@ TXT "{value}"' for value in (fresh, old, "of-somebody-else", f"{old}-similar")]
    lab.bind.dynamic_zone(f"_acme-challenge.{NAME}", "acme", records=others)
    lab.bind.reconfigure()
    box.populate(NAME)
    told(findings(box, NAME), "ok", "1 left by an interrupted check removed")
    assert box.txt(NAME) == {fresh, "of-somebody-else", f"{old}-similar"}


def test_a_sub_zone_that_is_missing(box: Box) -> None:
    """A name whose challenges have nowhere to go is bad, with what to do; the others are looked at all the same."""
    box.enrol("a.example.test")
    box.populate(NAME)
    found = findings(box)
    assert "create the sub-zone" in told(found, "bad", "serves no zone that _acme-challenge.www")["what_to_do"]
    told(found, "ok", "takes updates with our key")


def test_a_sub_zone_that_was_forgotten(box: Box, lab: Lab) -> None:
    """Its server holds the zone above, where our key is unknown: the sub-zone comes first, not the key."""
    lab.bind.static_zone("example.test")
    lab.bind.reconfigure()
    key = Path(box.document["dns"]["tsig_key_file"])
    key.write_text(key.read_text(encoding="ascii").replace('"acme"', '"nobody"'), encoding="ascii")
    box.populate(NAME)
    found = findings(box)
    told(found, "warn", f"zone example.test: _acme-challenge.{NAME} has no zone of its own")
    refused = told(found, "bad", "zone example.test: the update of example.test at")
    assert "BADKEY" in refused["finding"]
    assert refused["what_to_do"].startswith(f"create the sub-zone _acme-challenge.{NAME} first")


def test_a_zone_that_is_written_though_nobody_named_it(box: Box, lab: Lab) -> None:
    """The key may write into the zone above the name: said, until a [[dns.zone]] says that this is meant."""
    lab.bind.dynamic_zone("example.test", "acme", [f"_acme-challenge.{NAME}"])
    lab.bind.reconfigure()
    box.populate(NAME)
    found = findings(box)
    warned = told(found, "warn", f"zone example.test: _acme-challenge.{NAME} has no zone of its own")
    assert f"`certfleet-issuer zone {NAME}` prints it" in warned["what_to_do"]
    assert "[[dns.zone]]" in warned["what_to_do"]
    assert bad_ones(found) == []
    box.document["dns"]["zone"] = [{"name": "example.test"}]
    box.write()
    found = findings(box)
    assert "has no zone of its own" not in str(found)
    told(found, "ok", "takes updates with our key")


def test_a_zone_whose_top_is_the_name(box: Box, lab: Lab) -> None:
    """The zone of the classic system holds one name, its addresses and its challenges: nothing is warned of."""
    names = ["svc.example.test", "*.svc.example.test"]
    records = ["@ NS ns.example.test.", "@ A 192.0.2.80"]
    lab.bind.dynamic_zone(names[0], "acme", ["_acme-challenge.svc.example.test"], records=records)
    lab.bind.reconfigure()
    box.populate(*names)
    found = findings(box)
    assert "has no zone of its own" not in str(found)
    told(found, "ok", "zone svc.example.test: " + lab.bind.endpoint + " takes updates with our key")
    assert bad_ones(found) == []
    box.ok("run")


def test_a_zone_that_an_alias_leads_to(box: Box, lab: Lab) -> None:
    """A CNAME or DNAME is somebody's own word for the zone: nothing is warned of."""
    lab.bind.static_zone("example.test", ["_acme-challenge.www CNAME www.acme.test.", "shop DNAME acme.test."])
    lab.bind.dynamic_zone("acme.test", "acme", ["www.acme.test", "_acme-challenge.acme.test"])
    lab.bind.reconfigure()
    box.populate(NAME, "shop.example.test")
    assert "has no zone of its own" not in str(findings(box))


def test_a_soa_that_makes_resolvers_remember(box: Box, lab: Lab) -> None:
    """A negative answer that is kept for long is a warning."""
    box.enrol(NAME)
    soa = f"_acme-challenge.{NAME}. 3600 SOA ns.example.test. noc.example.test. 9 3600 600 604800 3600"
    lab.bind.stop()
    (lab.bind.folder / f"_acme-challenge.{NAME}.db").write_text(
        f"$TTL 1\n{soa}\n_acme-challenge.{NAME}. NS ns.example.test.\n", encoding="ascii"
    )
    lab.bind.start()
    assert "300 s or less" in told(findings(box, NAME), "warn", "resolvers remember for 60m")["what_to_do"]


def test_only_old_values_of_ours_are_stale() -> None:
    """The rule behind it: our form exactly, and older than a check may last; clocks may be a little apart."""
    now = 1_800_000_000.0
    values = {age: new_value(now - age) for age in (0, 800, 1000, 10**6, -30, -3600)}
    assert set(stale(values.values(), now)) == {values[1000], values[10**6], values[-3600]}
    assert stale(["certfleet-check-1-xyz", f" {values[1000]}", "x"], now) == []
