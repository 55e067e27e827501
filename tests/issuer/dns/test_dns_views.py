"""A BIND that chooses the view of a zone by the TSIG key: what is asked has to meet the view that is updated."""

import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.check_line import Level
from issuer.dns.probe.zone_probe import probe
from issuer.dns.zones import Zones
from issuer.model.config import DnsSettings
from tests.issuer.box import Box
from tests.issuer.dns.test_zone_recipes import make_key
from tests.servers.bind import Bind
from tests.servers.database import SqliteDatabase
from tests.servers.pebble import Pebble
from tests.servers.ports import free_port, release_port
from tests.servers.process import Process, program, wait_until
from tests.servers.resolver import Resolver

NAME = "www.example.test"
PARENT = "example.test"
SUB_ZONE = f"_acme-challenge.{NAME}"
SOA = "$TTL 1\n@ SOA ns1.example.net. noc.example.net. 1 3600 600 86400 1\n"


@contextmanager
def views(folder: Path, port: int, key: Path, *, outer: Sequence[str], inner: Sequence[str]) -> Iterator[None]:
    """A BIND with two views, whose zones take updates: a client that signs with *key* meets *outer*, others *inner*."""
    folder.mkdir()
    statements = {view: zones_of(folder, view, zones, key) for view, zones in (("outer", outer), ("inner", inner))}
    (folder / "named.conf").write_text(
        f'options {{ directory "{folder}"; pid-file none; session-keyfile none; lock-file none; recursion no; '
        f"listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; dnssec-validation no; "
        "check-integrity no; empty-zones-enable no; };\ncontrols { };\n"
        f'include "{key}";\n'
        f'view "inner" {{ match-clients {{ !key "{key.stem}"; any; }};\n{statements["inner"]} }};\n'
        f'view "outer" {{ match-clients {{ key "{key.stem}"; }};\n{statements["outer"]} }};\n',
        encoding="ascii",
    )
    process = Process([program("named", "bind9"), "-g", "-4", "-c", str(folder / "named.conf")], folder / "named.log")
    try:
        process.start()
        process.wait_until(lambda: "ns1" in signed(port, key, outer[0], "SOA"), "the outer view is served")
        yield
    finally:
        process.stop()
        release_port(port)


def zones_of(folder: Path, view: str, zones: Sequence[str], key: Path) -> str:
    """The statements of one view; the parent delegates the sub-zone if both are there."""
    statements = []
    for zone in zones:
        records = [f"@ NS ns1.{PARENT if len(zones) > 1 else 'example.net'}."]
        if zone == PARENT and len(zones) > 1:
            records += ["ns1 A 127.0.0.1", f"{SUB_ZONE}. NS ns1"]
        (folder / f"{view}-{zone}").write_text(SOA + "\n".join([*records, ""]), encoding="ascii")
        grant = f'update-policy {{ grant "{key.stem}" name {SUB_ZONE}. TXT; }};'
        statements.append(f'  zone "{zone}" {{ type primary; file "{view}-{zone}"; {grant} }};')
    return "\n".join(statements)


def signed(port: int, key: Path, owner: str, kind: str) -> str:
    """The records in the outer view, as dig prints them."""
    asked = ["dig", "-k", str(key), "+short", "+norec", "+tries=1", "+time=2", "@127.0.0.1", "-p", str(port)]
    return subprocess.run([*asked, owner, kind], check=False, capture_output=True, text=True, timeout=10).stdout


def a_box(folder: Path, port: int, key: Path) -> Box:
    box = Box(folder / "box", SqliteDatabase(folder))
    here = {"server": "127.0.0.1", "port": port, "tsig_key_file": str(key), "nameservers": [f"127.0.0.1:{port}"]}
    box.write(dns=here)
    box.set_up()
    return box


@pytest.mark.sampled
@pytest.mark.parametrize(("outer", "inner"), [(PARENT, SUB_ZONE), (SUB_ZONE, PARENT), (SUB_ZONE, SUB_ZONE)])
def test_the_key_chooses_the_view(tmp_path: Path, outer: str, inner: str) -> None:
    """Asked without the key, the server shows another zone than the one that takes the update. With sign_queries zone
    and answer are looked up in the updated view: `check` is content, and a CA that sees that view validates."""
    key, port = make_key(tmp_path), free_port()
    box = a_box(tmp_path, port, key)
    with views(tmp_path / "named", port, key, outer=[outer], inner=[inner]):
        box.populate(NAME)
        blind = box.run("check", "--wait", "1s")
        assert blind.code == 1, blind.out
        if outer != inner:
            assert "NOTAUTH" in blind.out
            assert "sign_queries = true" in blind.out
        else:
            assert f"127.0.0.1:{port}: does not show 1 of 1 values yet; its serial is" in blind.out
            assert "if it is that server, another of its views answers us: set sign_queries" in blind.out
        box.write(dns={"zone": [{"name": outer, "sign_queries": True}]})
        checked = box.run("check").out
        assert f"zone {outer}: 127.0.0.1:{port} shows a new record after" in checked
        assert "bad  zone" not in checked
        resolver = Resolver(tmp_path / "resolver", f"127.0.0.1:{port}", signer=key)
        with resolver, Pebble(tmp_path / "pebble", resolver.endpoint) as pebble:
            box.trust(pebble)
            box.write()
            box.ok("run")
        assert signed(port, key, SUB_ZONE, "TXT") == ""
    assert box.row(NAME, "crt") != (None,)


def test_the_delegation_is_looked_up_in_the_same_view(tmp_path: Path) -> None:
    """Without nameservers the parent's delegation and the zone's servers are asked with the key, where they are that
    server."""
    key, port = make_key(tmp_path), free_port()
    with (
        views(tmp_path / "named", port, key, outer=[PARENT, SUB_ZONE], inner=[PARENT]),
        Resolver(tmp_path / "resolver", f"127.0.0.1:{port}", signer=key) as resolver,
    ):
        settings = DnsSettings("127.0.0.1", port, key, resolvers=(resolver.endpoint,), sign_queries=True)
        zones = Zones(settings, port=port)
        lines = probe(zones, zones.locate(NAME), time.time, 1.0, threading.Event().wait)
    assert {line.level for line in lines} == {Level.OK}, "\n".join(map(str, lines))
    assert f"zone {SUB_ZONE}: {PARENT} delegates it to ns1.{PARENT}" in "\n".join(map(str, lines))


def test_a_server_that_does_not_know_the_key_is_asked_without_it(bind: Bind, tmp_path: Path) -> None:
    """A secondary needs the zone, not the key; the server of the updates needs both."""
    box = Box(tmp_path / "box", SqliteDatabase(tmp_path), bind=bind)
    with Bind(tmp_path / "secondary", secondary_of=bind) as secondary:
        box.write(dns={"sign_queries": True, "nameservers": [bind.endpoint, secondary.endpoint]})
        box.set_up()
        box.enrol(NAME)
        checked = box.run("check").out
        for server in (bind, secondary):
            assert f"{server.endpoint} shows a new record after" in checked
        wait_until(lambda: secondary.txt(SUB_ZONE) == set(), "gone")
    key = Path(box.document["dns"]["tsig_key_file"])
    key.write_text(key.read_text(encoding="ascii").replace('"acme"', '"nobody"'), encoding="ascii")
    refused = box.run("check")
    assert "it does not take the key nobody: BADKEY" in refused.out
    assert "add the key to the name server" in refused.out
