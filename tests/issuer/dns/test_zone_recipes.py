"""What `zone` prints is loaded into the real server word for word, and a certificate is issued through it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from issuer.dns.servers import Server
from issuer.dns.write.tsig import load_tsig_key
from issuer.dns.write.update import change_txt
from tests.issuer.box import Box
from tests.servers.bind import Bind
from tests.servers.database import SqliteDatabase
from tests.servers.knot import Knot
from tests.servers.nsd import Nsd
from tests.servers.pebble import Pebble
from tests.servers.ports import free_port, release_port
from tests.servers.powerdns import PowerDns
from tests.servers.process import Process, program, wait_until
from tests.servers.questions import send_notify, soa_serial, txt_values

NAME = "www.example.test"
ZONE = f"_acme-challenge.{NAME}"
KEY = "CertFleet.Key"  # with capitals: the makes compare a key's name in different ways


def make_key(folder: Path, name: str = "acme") -> Path:
    """A TSIG key as tsig-keygen writes it."""
    made = subprocess.run([program("tsig-keygen", "bind9"), name], check=True, capture_output=True, timeout=10)
    file = folder / "acme.key"
    file.touch(mode=0o600)
    file.write_bytes(made.stdout)
    return file


def recipe(box: Box, make: str) -> Any:
    """The JSON form of `zone --server`."""
    [printed] = box.ok("zone", NAME, "--server", make, "--ns", "ns1.example.test", "--json").report()
    return printed


def a_box(folder: Path, port: int) -> Box:
    """A box whose name server, of whatever make, is on that port."""
    key = make_key(folder, KEY)
    box = Box(folder / "box", SqliteDatabase(folder))
    here = {"server": "127.0.0.1", "port": port, "tsig_key_file": str(key), "nameservers": [f"127.0.0.1:{port}"]}
    box.write(dns=here)
    box.set_up()
    return box


def issues_through(box: Box, port: int, folder: Path) -> None:
    """A certificate for the name is issued, validated by a CA that asks that very server, and nothing is left there."""
    with Pebble(folder / "pebble", f"127.0.0.1:{port}") as pebble:
        box.trust(pebble)
        box.write()
        box.populate(NAME)
        box.ok("run")
    assert box.row(NAME, "crt") != (None,)
    assert txt_values("127.0.0.1", port, ZONE) == set()


def refuses_the_rest(box: Box, port: int) -> None:
    """With the same key neither another name nor another type can be written."""
    key = str(box.document["dns"]["tsig_key_file"])
    asked = ["dig", "+short", "+norec", "@127.0.0.1", "-p", str(port)]
    for owner, kind, value in ((f"x.{ZONE}", "TXT", "evil"), (ZONE, "PTR", "evil.example.test.")):
        script = f"server 127.0.0.1 {port}\nzone {ZONE}\nupdate add {owner} 60 {kind} {value}\nsend\n"
        command = [program("nsupdate", "bind9-dnsutils"), "-k", key]
        subprocess.run(command, input=script, text=True, check=False, capture_output=True, timeout=10)
        done = subprocess.run([*asked, owner, kind], check=True, capture_output=True, text=True, timeout=10)
        assert done.stdout == ""


@contextmanager
def named(folder: Path, port: int, statements: str) -> Iterator[None]:
    """A BIND with these statements of named.conf word for word, once it serves the zone."""
    folder.mkdir()
    options = (
        f'options {{ directory "{folder}"; pid-file none; session-keyfile none; lock-file none; recursion no; '
        f"listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; dnssec-validation no; }}; controls {{ }};\n"
    )
    (folder / "named.conf").write_text(options + statements, encoding="utf-8")
    process = Process([program("named", "bind9"), "-g", "-4", "-c", str(folder / "named.conf")], folder / "named.log")
    try:
        process.start()
        process.wait_until(lambda: soa_serial("127.0.0.1", port, ZONE) is not None, "the zone is loaded")
        yield
    finally:
        process.stop()
        release_port(port)


def test_bind_takes_the_recipe(tmp_path: Path) -> None:
    """named loads stanza and zone file as printed, takes the challenge alone."""
    port = free_port()
    box = a_box(tmp_path, port)
    printed = recipe(box, "bind")
    zone_file = printed["zone_place"].partition(" ")[0]
    (tmp_path / "zone").write_text(printed["zone_file"], encoding="utf-8")
    once = "".join(piece["text"] for piece in printed["once"])
    stanza = printed["stanza"].replace(zone_file, str(tmp_path / "zone"))
    with named(tmp_path / "named", port, once + stanza):
        refuses_the_rest(box, port)
        issues_through(box, port, tmp_path)


@pytest.mark.soak
def test_knot_takes_the_recipe(tmp_path: Path) -> None:
    """knotd loads key, ACL, stanza and zone file as printed, takes the challenge alone."""
    server = Knot(tmp_path / "knot")
    box = a_box(tmp_path, server.port)
    printed = recipe(box, "knot")
    shell, acl = printed["once"]
    key_conf = str(server.folder / "key.conf")
    commands = shell["text"].replace(f"/etc/knot/{KEY.lower()}.conf", key_conf).partition("; chown")[0]
    subprocess.run(["/bin/sh", "-ec", commands], check=True, timeout=10)
    file = server.zone_file(ZONE, printed["zone_file"])
    server.paste(acl["text"].replace(f"/etc/knot/{KEY.lower()}.conf", key_conf))
    server.paste(printed["stanza"].replace(printed["zone_place"].partition(" ")[0], str(file)))
    with server:
        refuses_the_rest(box, server.port)
        issues_through(box, server.port, tmp_path)


@pytest.mark.soak
def test_powerdns_takes_the_recipe(tmp_path: Path) -> None:
    """pdns_server with options, policy, pdnsutil lines and zone file as printed takes the challenge alone."""
    server = PowerDns(tmp_path / "pdns")
    box = a_box(tmp_path, server.port)
    printed = recipe(box, "powerdns")
    key, options, policy = printed["once"]
    zone_file, policy_file = server.folder / "zone", server.folder / "certfleet.lua"
    zone_file.write_text(printed["zone_file"], encoding="utf-8")
    policy_file.write_text(policy["text"], encoding="utf-8")
    server.paste(options["text"].replace(policy["place"], str(policy_file)))
    server.run(key["text"] + printed["stanza"].replace(printed["zone_place"], str(zone_file)))
    with server:
        server.wait_for(ZONE)
        refuses_the_rest(box, server.port)
        issues_through(box, server.port, tmp_path)


def on_a_secondary(bind: Bind, folder: Path, make: str) -> tuple[str, str]:
    """What `zone` prints for ns2, of that make: the text that is needed once, and the zone's."""
    box = Box(folder / "box", SqliteDatabase(folder))
    box.write(dns={"server": bind.address, "port": bind.port})
    hosts = ["--ns", "ns1.example.test", "--ns", "ns2.example.test"]
    [printed] = box.ok("zone", NAME, "--secondary", make, *hosts, "--json").report()
    once = [piece["text"] for piece in printed["once"] if piece["host"] == "ns2.example.test"]
    [stanza] = printed["secondaries"]
    assert stanza["host"] == "ns2.example.test"
    return "".join(once), stanza["text"]


def follows(bind: Bind, port: int) -> None:
    """Told of a change, the secondary on that port has it."""
    wait_until(lambda: soa_serial("127.0.0.1", port, ZONE) == bind.serial(ZONE), "the zone is transferred")
    key = load_tsig_key(bind.folder / "acme.key")
    change_txt(Server("127.0.0.1", bind.port), ZONE, key, add=[(ZONE, "new")])
    send_notify("127.0.0.1", port, ZONE)
    wait_until(lambda: txt_values("127.0.0.1", port, ZONE) == {"new"}, "the secondary follows")


@pytest.fixture
def primary(bind: Bind) -> Bind:
    """A BIND with the sub-zone, of which secondaries copy it."""
    bind.tsig_key("acme")
    bind.dynamic_zone(ZONE, "acme")
    bind.reconfigure()
    return bind


def test_bind_follows(primary: Bind, tmp_path: Path) -> None:
    """named with the printed stanza transfers the zone, and again when it is told of a change."""
    _, stanza = on_a_secondary(primary, tmp_path, "bind")
    port = free_port()
    with named(tmp_path / "ns2", port, stanza.replace("/var/cache/bind", str(tmp_path))):
        follows(primary, port)


def test_knot_follows(primary: Bind, tmp_path: Path) -> None:
    """So does knotd."""
    once, stanza = on_a_secondary(primary, tmp_path, "knot")
    server = Knot(tmp_path / "ns2")
    server.paste(once + stanza.replace("/var/lib/knot", str(tmp_path)))
    with server:
        follows(primary, server.port)


def test_nsd_follows(primary: Bind, tmp_path: Path) -> None:
    """So does nsd, which can be no primary here."""
    once, stanza = on_a_secondary(primary, tmp_path, "nsd")
    assert once == ""
    server = Nsd(tmp_path / "ns2")
    server.paste(stanza.replace("/var/lib/nsd", str(tmp_path)))
    with server:
        follows(primary, server.port)


def test_powerdns_follows(primary: Bind, tmp_path: Path) -> None:
    """So does pdns_server."""
    once, stanza = on_a_secondary(primary, tmp_path, "powerdns")
    server = PowerDns(tmp_path / "ns2")
    server.paste(once)
    server.run(stanza)
    with server:
        follows(primary, server.port)
