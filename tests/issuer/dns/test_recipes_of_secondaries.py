"""What is printed where a zone has secondaries: the primary allows and notifies them, and nothing is missing."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from issuer.dns.servers import Server
from issuer.dns.write.tsig import load_tsig_key
from issuer.dns.write.update import change_txt
from tests.issuer.box import Box
from tests.issuer.dns.test_zone_recipes import KEY, NAME, ZONE, make_key
from tests.servers.bind import Bind
from tests.servers.database import SqliteDatabase
from tests.servers.knot import Knot
from tests.servers.powerdns import PowerDns
from tests.servers.process import wait_until
from tests.servers.questions import soa_serial, txt_values


@pytest.fixture
def known_hosts(bind: Bind, tmp_path: Path) -> Box:
    """A box whose resolver knows the addresses of the name servers: ns2 is on this machine, ns3 elsewhere."""
    bind.static_zone("example.test", ["ns1 A 127.0.0.1", "ns2 A 127.0.0.1", "ns3 A 192.0.2.3", "ns3 AAAA 2001:db8::3"])
    bind.reconfigure()
    box = Box(tmp_path / "known", SqliteDatabase(tmp_path), bind=bind)
    box.write(dns={"resolvers": [bind.endpoint], "tsig_key_file": str(make_key(tmp_path, KEY))})
    return box


def with_secondaries(box: Box, make: str) -> Any:
    hosts = [word for number in (1, 2, 3) for word in ("--ns", f"ns{number}.example.test")]
    [printed] = box.ok("zone", NAME, "--server", make, *hosts, "--json").report()
    return printed


def test_a_knot_primary_allows_and_notifies_its_secondaries(known_hosts: Box, tmp_path: Path) -> None:
    """knotd allows nothing by itself: remote, ACL and notify are printed, and a secondary follows at once."""
    printed = with_secondaries(known_hosts, "knot")
    server, secondary = Knot(tmp_path / "knot"), Knot(tmp_path / "ns2")
    key_conf = str(server.folder / "key.conf")
    shell, acl, *followers = (piece["text"] for piece in printed["once"] if piece["host"] == "the primary")
    own_conf = f"/etc/knot/{KEY.lower()}.conf"
    subprocess.run(
        ["/bin/sh", "-ec", shell.replace(own_conf, key_conf).partition("; chown")[0]], check=True, timeout=10
    )
    file = server.zone_file(ZONE, printed["zone_file"])
    server.paste(acl.replace(own_conf, key_conf))
    for text in followers:
        server.paste(text.replace("address: [127.0.0.1]", f"address: 127.0.0.1@{secondary.port}", 1))
    server.paste(printed["stanza"].replace(printed["zone_place"].partition(" ")[0], str(file)))
    once = "".join(piece["text"] for piece in printed["once"] if piece["host"] == "ns2.example.test")
    [stanza] = [piece["text"] for piece in printed["secondaries"] if piece["host"] == "ns2.example.test"]
    secondary.paste(once.replace("address: 127.0.0.1", f"address: 127.0.0.1@{server.port}", 1))
    secondary.paste(stanza.replace("/var/lib/knot", str(secondary.folder)))
    with server, secondary:
        secondary.wait_until(lambda: soa_serial("127.0.0.1", secondary.port, ZONE) == 1, "the zone is transferred")
        key = load_tsig_key(Path(known_hosts.document["dns"]["tsig_key_file"]))
        change_txt(Server("127.0.0.1", server.port), ZONE, key, add=[(ZONE, "new")])
        wait_until(lambda: txt_values("127.0.0.1", secondary.port, ZONE) == {"new"}, "the secondary is notified")


def transferred(port: int) -> str:
    """What dig says of a transfer of the zone."""
    asked = ["dig", "@127.0.0.1", "-p", str(port), "AXFR", ZONE]
    return subprocess.run(asked, check=True, capture_output=True, text=True, timeout=10).stdout


def test_a_powerdns_primary_allows_its_secondaries(known_hosts: Box, tmp_path: Path) -> None:
    """pdns_server allows this machine alone: the addresses are printed as metadata of the zone, and it notifies."""
    printed = with_secondaries(known_hosts, "powerdns")
    server = PowerDns(tmp_path / "pdns")
    (server.folder / "zone").write_text(printed["zone_file"], encoding="utf-8")
    server.paste("allow-axfr-ips=192.0.2.99\nprimary=yes\n")
    stanza = printed["stanza"].replace(printed["zone_place"], str(server.folder / "zone"))
    [key, *_] = printed["once"]
    server.run(key["text"] + stanza)
    with server:
        server.wait_for(ZONE)
        assert "XFR size: 5 records" in transferred(server.port)


def test_the_texts_as_files(known_hosts: Box, tmp_path: Path) -> None:
    """Two names: one file for each place on each machine, zone files apart. What is there stays, unless --force."""
    out = tmp_path / "texts"
    words = ["zone", NAME, "shop.example.test", "--ns", "ns1.example.test", "--ns", "ns2.example.test"]
    printed = known_hosts.ok(*words).out
    told = known_hosts.ok(*words, "--out", str(out)).out
    files = sorted(str(file.relative_to(out)) for file in out.rglob("*") if file.is_file())
    shop = "_acme-challenge.shop.example.test"
    assert files == [
        *("ns2.example.test/named.conf", "parent/ns-records"),
        *(f"primary/db.{shop}", f"primary/db.{ZONE}", "primary/named.conf"),
    ]
    for name in files:
        assert str(out / name) in told
        for line in (out / name).read_text(encoding="utf-8").splitlines():
            assert line in printed.splitlines()
    assert "next: " in told
    stanzas = (out / "primary/named.conf").read_text(encoding="utf-8")
    assert (stanzas.count("include "), stanzas.count("type primary;")) == (1, 2)
    (out / "primary/named.conf").write_text("mine", encoding="utf-8")
    (out / "parent/ns-records").unlink()
    known_hosts.refused(*words, "--out", str(out), code=1, says=["exists already", "nothing was written", "--force"])
    assert not (out / "parent/ns-records").exists()
    assert (out / "primary/named.conf").read_text(encoding="utf-8") == "mine"
    [first, *_] = known_hosts.ok(*words, "--out", str(out), "--force", "--json").report()
    assert first == {
        "file": str(out / "primary/named.conf"),
        "on": "the primary",
        "in": "named.conf (name the copy of the key that named may read: on Debian below /etc/bind)",
    }
    assert (out / "primary/named.conf").read_text(encoding="utf-8") == stanzas


def test_a_bind_stanza_leaves_allow_transfer_to_the_server(known_hosts: Box) -> None:
    """The allow-transfer of the whole server may name addresses that a resolver does not know: it stays in force."""
    assert "allow-transfer" not in with_secondaries(known_hosts, "bind")["stanza"]


def test_the_shell_script_prints_the_secondaries(known_hosts: Box) -> None:
    """What the script cannot do itself stands at its end: the parent's lines, then each secondary's."""
    hosts = ["--ns", "ns1.example.test", "--ns", "ns2.example.test", "--secondary", "knot"]
    script = known_hosts.ok("zone", NAME, *hosts, "--shell").out
    parent, once, stanza = script.partition("by hand; then")[2].split("\n\nOn ns2.example.test, in ")[0:3]
    assert f"{ZONE}. IN NS ns2.example.test." in parent
    assert "remote:" in once
    assert f'domain: "{ZONE}"' in stanza
    assert stanza.endswith("END\n")


@pytest.mark.parametrize("make", ["bind", "knot", "powerdns"])
def test_the_texts_name_everything_and_no_secret(bind: Bind, tmp_path: Path, make: str) -> None:
    """What is printed for people holds the zone, its name servers, the parent's lines and the DS hint, not the key."""
    box = Box(tmp_path / "box", SqliteDatabase(tmp_path), bind=bind)
    printed = box.ok("zone", NAME, "--server", make, "--ns", "ns1.example.test", "--ns", "ns2.example.test").out
    secret = Path(box.document["dns"]["tsig_key_file"]).read_text(encoding="ascii").split('"')[3]
    assert secret not in printed
    assert f"{ZONE}. IN NS ns1.example.test.\n{ZONE}. IN NS ns2.example.test.\n" in printed
    assert "DS records" in printed
    assert "SOA ns1.example.test." in printed


@pytest.mark.parametrize(
    ("here", "others", "printed"),
    [
        ("z.example.test.", ["a", "b", "ns"], ["z", "a", "b", "ns"]),  # where updates go, whatever the SOA says
        ("hidden.example.test.", ["z", "ns", "a", "b"], ["ns", "a", "b", "z"]),  # else who the SOA says
        ("hidden.example.test.", ["d", "c", "b", "a"], ["a", "b", "c", "d"]),
    ],
)
def test_the_primary_comes_first(bind: Bind, tmp_path: Path, here: str, others: list[str], printed: list[str]) -> None:
    """Without --ns: BIND sends no NOTIFY to who stands in the SOA, so that it must be no secondary."""
    names = [f"{name}.example.test." for name in others] + [here] * here.startswith("z")
    addresses = [f"{name} A {'127.0.0.1' if name == here else '192.0.2.1'}" for name in {*names, here}]
    bind.static_zone("example.test", [*(f"@ NS {name}" for name in names), *addresses])
    bind.reconfigure()
    box = Box(tmp_path / "box", SqliteDatabase(tmp_path), bind=bind)
    box.write(dns={"resolvers": [bind.endpoint]})
    [recipe] = box.ok("zone", NAME, "--json").report()
    listed = [line.split()[-1] for line in recipe["zone_file"].splitlines() if " IN NS " in line]
    assert listed == [f"{name}.example.test." for name in printed]
    assert f"SOA {printed[0]}.example.test. " in recipe["zone_file"]
