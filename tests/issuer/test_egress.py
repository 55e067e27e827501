"""egress: what the firewall before an issuer must let through, with a real CA, name server and database."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.config_file import load
from common.egress.needs import Sighting
from issuer.commands import egress
from issuer.model.config import Settings
from issuer.store import egress as egress_store
from issuer.store.egress import Egress
from issuer.store.revision import open_database
from tests.issuer.box import NOBODY, Box
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority, asked_at
from tests.servers.lab import Lab

NAME, BY_FILE, BY_RECORD = "www.lab.test", "web.lab.test", "www.records.test"
RECORD_NS = [("ns.records.test", 53, "udp"), ("ns.records.test", 53, "tcp")]
NS = f"ns._acme-challenge.{NAME}"


def look(box: Box, *words: str) -> dict[str, Any]:
    """The document of one look."""
    return dict(box.run("egress", "--json", *words).report())


def places(entries: list[dict[str, Any]]) -> dict[tuple[str, int, str], list[str]]:
    """What each passage is for."""
    return {(one["host"], one["port"], one["protocol"]): one["why"] for one in entries}


def test_everything_that_one_issue_needs(resolving_box: Box, lab: Lab) -> None:
    """Outwards the CA with its resources, updates, name servers and resolver by UDP and TCP, mail, the machine of a
    webroot; inwards the questions of the CA. What is there is reached, and what is not makes it exit code 1."""
    box = resolving_box
    lab.bind.static_zone("records.test")
    lab.bind.reconfigure()
    box.enrol(NAME)
    webroot = ["--webroot", "sftp://u@files.lab.test:2222/srv"]
    box.ok("populate", BY_FILE, "--csr", "-", *webroot, "--enable", stdin=csr([BY_FILE]))
    box.ok("populate", BY_RECORD, "--csr", "-", "--by", "dns-persist-01", "--enable", stdin=csr([BY_RECORD]))
    box.document["acme"]["staging"] = "https://staging.lab.test:14000/dir"
    box.document["notify"] = {"email_to": ["noc@example.com"], "smtp_host": "mail.lab.test", "smtp_port": 587}
    box.write(dns={"resolvers": [lab.bind.endpoint], "root_servers": ["127.0.0.1:19"]})
    document = look(box)
    out, dns = places(document["out"]), ("127.0.0.1", lab.bind.port)
    assert out["staging.lab.test", 14000, "tcp"] == ["ACME directory for tests (--staging)"]
    assert out["127.0.0.1", 19, "udp"] == ["root server"]
    assert set(out["localhost", lab.pebble.port, "tcp"]) == {"ACME directory", "ACME"}
    assert set(out[*dns, "udp"]) == set(out[*dns, "tcp"]) == {"updates of zones", "name server of a zone", "resolver"}
    assert out["mail.lab.test", 587, "tcp"] == ["mail"]
    assert out["files.lab.test", 2222, "tcp"] == ["webroot over SSH"]
    assert out[BY_FILE, 80, "tcp"] == ["http-01: our own look"]
    inwards = places(document["in"])
    assert set(inwards) == {(BY_FILE, 80, "tcp"), (NS, 53, "udp"), (NS, 53, "tcp"), *RECORD_NS}
    assert inwards[RECORD_NS[0]] == ["dns-persist-01: the CA asks for the answer"]
    assert {one["from"] for one in document["in"]} == {"anywhere"}
    assert "no promise" in document["notes"][-1]
    reached = {(one["host"], one["port"]): one["well"] for one in document["out"]}
    assert (reached["localhost", lab.pebble.port], reached[dns], reached["mail.lab.test", 587]) == (True, True, False)
    assert (document["well"], box.run("egress").code) == (False, 1)


def test_a_ca_that_does_not_answer_is_listed_all_the_same(lone_box: Box) -> None:
    """Its further hosts are not known then, and that is said; so is the proxy that leads to it."""
    lone_box.write(acme={"directory": f"https://{NOBODY}/dir"})
    document = look(lone_box)
    assert places(document["out"])["127.0.0.1", 9, "tcp"] == ["ACME directory", "resolver"]
    assert "names further hosts, and cannot be read" in document["warnings"][0]


def test_a_proxy_is_what_is_reached(lone_box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CA's hosts are needed by the proxy, and it says so."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:7")
    lone_box.write(acme={"directory": "https://ca.lab.test/dir"})
    document = look(lone_box)
    assert places(document["out"])["127.0.0.1", 7, "tcp"] == ["proxy to the CA"]
    assert any("it is the proxy that needs the CA's hosts" in warning for warning in document["warnings"])


def test_what_certificates_name_is_for_servers_and_clients(lone_box: Box) -> None:
    """A host that only they ask is listed, and does not make the exit code 1."""
    authority = Authority("Root")
    authority.added = asked_at(ocsp="http://localhost:9/", crl="http://127.0.0.1:9/x.crl")
    file = lone_box.folder / "bought.pem"
    file.write_bytes(authority.issue([NAME]).cert_pem + authority.pem)
    lone_box.ok("import", NAME, "--crt", str(file))
    found = {(one["host"], one["why"][0]): one["ours"] for one in look(lone_box)["out"]}
    assert found["localhost", "OCSP of 1 certificate"] is False


@pytest.mark.usefixtures("lab")
def test_addresses_are_gathered_over_days(server_box: Box, lab: Lab) -> None:
    """A name moves between two looks of --watch: both addresses stay in every list, with first and last sight; a look
    without --watch saves nothing; a TTL below the firewall's interval is warned of."""
    box = server_box
    directory = f"https://ca.moves.test:{lab.pebble.port}/dir"
    box.write(acme={"directory": directory}, dns={"resolvers": [lab.bind.endpoint]})

    def move(*addresses: str) -> None:
        lab.bind.static_zone("moves.test", ["$TTL 20", *(f"ca A {address}" for address in addresses)])
        lab.bind.reconfigure()

    def seen(document: dict[str, Any]) -> dict[str, Any]:
        [one] = [one for one in document["out"] if one["host"] == "ca.moves.test"]
        return {each["address"]: (each["now"], each["ttl"]) for each in one["addresses"]}

    move("127.0.0.2")
    assert seen(look(box)) == {"127.0.0.2": (True, 20)}
    move("127.0.0.3")
    assert seen(look(box, "--watch")) == {"127.0.0.3": (True, 20)}
    move("127.0.0.4", "127.0.0.5")
    document = look(box, "--watch")
    assert seen(document) == {"127.0.0.4": (True, 20), "127.0.0.5": (True, 20), "127.0.0.3": (False, 20)}
    assert "every 5m" in document["warnings"][-1]
    assert "ca.moves.test (20 s)" in document["warnings"][-1]
    listed = box.run("egress", "--format", "csf")
    assert {f"tcp|out|d={lab.pebble.port}|d=127.0.0.{last} # ca.moves.test" for last in (3, 4, 5)} <= set(
        listed.out.splitlines()
    )
    assert "no promise" in listed.err
    assert "no promise" not in box.run("egress", "-q", "--format", "csf").err
    box.document["egress"] = {"firewall_resolves_every": "20s"}
    box.write()
    assert not any("ca.moves.test" in warning and "every" in warning for warning in look(box)["warnings"])


def test_what_was_not_seen_for_long_is_forgotten(either_box: Box) -> None:
    """After 90 days; else first and last sight stay, and the longest TTL."""
    store = Egress(open_database(load(Settings, either_box.config).database))
    old, day = 1_700_000_000, 86400

    def at(moment: int, address: str) -> Sighting:
        return Sighting(address, 60, moment, moment)

    store.remember({"a.test": [at(old, "192.0.2.1"), at(old, "192.0.2.2")]}, old)
    store.remember({"a.test": [Sighting("192.0.2.1", 60, old, old + 50 * day)]}, old + 50 * day)
    store.remember({"b.test": [at(old + 100 * day, "2001:db8::1")]}, old + 100 * day)
    found = store.remembered(["a.test", "b.test", "c.test"], old + 100 * day)
    assert found["a.test"] == [Sighting("192.0.2.1", 60, old, old + 50 * day, now=False)]
    assert [one.address for one in found["b.test"]] == ["2001:db8::1"]
    assert set(found) == {"a.test", "b.test"}


def test_sightings_that_others_wrote(either_box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those to come are none, and do not push ours out; however many there are of one host, those of others stay, and
    the reading is bounded."""
    monkeypatch.setattr(egress_store, "_MOST_OF_HOST", 50)
    monkeypatch.setattr(egress_store, "_MOST", 120)
    store, now = Egress(open_database(load(Settings, either_box.config).database)), 1_700_000_000
    store.remember({"old.test": [Sighting("192.0.2.7", 60, now - 86400, now - 86400)]}, now - 86400)
    for moment, net in ((now + 10**9, "198.51.100"), (now - 60, "203.0.113")):
        rows = ", ".join(f"('a.test', '{net}.{n}', 1, {moment}, 60)" for n in range(200))
        either_box.database.execute(f"INSERT INTO egress VALUES {rows}")  # noqa: S608
    assert len(store.remembered(["a.test", "old.test"], now)["old.test"]) == 1
    store.remember({"a.test": [Sighting("192.0.2.1", 60, now, now)]}, now)
    found = store.remembered(["a.test", "old.test"], now)
    assert [one.address for one in found["old.test"]] == ["192.0.2.7"]
    assert len(found["a.test"]) == 50
    assert "192.0.2.1" in [one.address for one in found["a.test"]]
    assert not [one for one in found["a.test"] if one.address.startswith("198.51.100.")]


def test_every_needs_watch(lone_box: Box) -> None:
    """It is refused, with what to do."""
    lone_box.refused("egress", "--every", "1m", code=2, says=["--every is for --watch"])


def test_a_watch_outlives_a_database_that_is_away(lone_box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three looks the second finds no database: it is told, and the third adds to the first."""
    file, pauses = Path(lone_box.database.path), []  # type: ignore[attr-defined]

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt
        file.rename(file.with_suffix(".away")) if len(pauses) == 1 else file.with_suffix(".away").rename(file)

    monkeypatch.setattr(egress, "time", SimpleNamespace(time=time.time, sleep=pause))
    lone_box.write(acme={"directory": "https://localhost:9/dir"})
    done = lone_box.run("egress", "--watch", "--every", "1m", "--format", "plain")
    assert (done.code, pauses) == (130, [60, 60, 60])
    assert "there is no such file yet" in done.err
    assert done.out.count("127.0.0.1\n") == 2
