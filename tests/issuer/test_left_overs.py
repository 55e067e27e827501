"""What dead processes left in the journal is taken back, and holds up nobody where that is impossible."""

import itertools
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from common.config_file import load
from issuer.commands.wiring import build_tools
from issuer.dns.zones import Zones
from issuer.journey.ports import Tools
from issuer.journey.solver import Solver
from issuer.journey.sweep import Swept, sweep
from issuer.loops import run
from issuer.model.acme import Challenge
from issuer.model.config import Settings
from issuer.model.errors import StoreError
from issuer.store.database import Database
from issuer.store.journal import Journal
from issuer.webroot.location import to_journal
from tests.issuer.box import Box
from tests.issuer.crash.killer import killed_run
from tests.issuer.shared_order import SharedOrder, SlowSweep
from tests.servers.ca_proxy import CaProxy
from tests.servers.silent import Silent
from tests.servers.stopwatch import Stopwatch

NAME = "www.lab.test"
DIGEST = "d" * 43  # the form of a value of dns-01
COLUMNS = "order_id, type, identifier, authorization_url, url, created_at, owner, zone, value"


def leave(box: Box, owner: str, zone: str, value: str, kind: str = "dns-01", *, name: str = "x") -> None:
    """A row of an order for *name* that has ended."""
    values = ", ".join(f"'{item}'" for item in (kind, name, "u", "u", "1", owner, zone, value))
    box.database.execute(f"INSERT INTO challenges ({COLUMNS}) VALUES (999, {values})")  # noqa: S608


def test_trouble_while_looking_for_them_spoils_no_run(box: Box) -> None:
    """The first look may fail, as when the database is away for a moment; what is due is issued, all is well."""
    looks = []

    def fails_once(tools: Tools, without: object = ()) -> Swept:
        looks.append((tools, without))
        if len(looks) == 1:
            raise StoreError("away")
        return Swept(set(), 0)

    name = box.enrol(NAME)
    with patch.object(run, "sweep", fails_once):
        assert f"{name}: stored" in box.ok("run").out
    assert len(looks) == 2


STRANGE = {
    "an empty label": ("a..b", "www.lab.test", DIGEST),
    "an empty label in the zone": ("x.lab.test", "a..b", DIGEST),
    "a quote": ("x.lab.test", "lab.test", '"quoted'),
    "a long label": ("a" * 70 + ".x", "lab.test", DIGEST),
    "a long value": ("x.lab.test", "lab.test", "v" * 70_000),
    "no route": ("", "lab.test", DIGEST),
}


@pytest.mark.sampled
@pytest.mark.parametrize("what", STRANGE)
def test_a_strange_row_stops_no_run(box: Box, what: str) -> None:
    """What cannot be taken back is told and stays; what stands beside it is taken back, and what is due is issued."""
    name = box.enrol(NAME)
    owner, zone, value = STRANGE[what]
    leave(box, owner, zone, value)
    zone_of_ours = f"_acme-challenge.{NAME}"
    leave(box, zone_of_ours, zone_of_ours, DIGEST)
    leave(box, "a..b", zone_of_ours, DIGEST)
    outcome = box.ok("run")
    assert f"{name}: stored" in outcome.out
    assert "challenge.left" in outcome.err
    assert "challenge.fault" not in outcome.err
    left = box.database.query("SELECT owner, zone FROM challenges")
    assert [one for one, where in left if where == zone_of_ours] == ["a..b"]


def test_a_row_of_an_unknown_kind_stops_no_run(box: Box) -> None:
    """What another version left is left alone."""
    name = box.enrol(NAME)
    leave(box, "a..b", "", "v", kind="tls-alpn-01")
    assert f"{name}: stored" in box.ok("run").out


def swept(box: Box, kind: str, solver: Solver) -> None:
    """What a run takes back, at its beginning and at its end."""
    settings = load(Settings, box.config)
    tools = replace(build_tools(settings, Database(settings.database)), solvers={kind: solver})
    sweep(tools, without=sweep(tools).silent)


def test_silent_name_servers_are_met_once_a_run(box: Box) -> None:
    """However many zones each has, and side by side."""
    with ExitStack() as stack:
        silents = [stack.enter_context(Silent()) for _ in range(5)]
        key = box.document["dns"]["tsig_key_file"]
        dead = {one.port: {"name": f"dead{one.port}.test", "server": "127.0.0.1", "port": one.port} for one in silents}
        box.document["dns"]["zone"] = [{**zone, "tsig_key_file": key} for zone in dead.values()]
        box.write()
        for port in dead:
            for number in range(3):
                leave(box, zone := f"_acme-challenge.n{number}.dead{port}.test", zone, DIGEST)
        watch = Stopwatch()
        swept(box, "dns-01", Zones(load(Settings, box.config).dns, update_seconds=6.0))
        assert watch.seconds() < 20  # one after the other would take thirty, and zone by zone ninety
        assert all(0 < one.calls <= 3 for one in silents)
    assert box.database.query("SELECT COUNT(*) FROM challenges") == [(15,)]


def test_what_there_is_no_time_for(box: Box) -> None:
    """A run says how much stays, exit code 1; the next one with time takes it back. What is due is issued all the
    same."""
    name, zone = box.enrol(NAME), f"_acme-challenge.{NAME}"
    for owner in (zone, f"a.{zone}"):
        leave(box, owner, zone, DIGEST)
    row = f"'gone.lab.test', 'gone.lab.test', 'ORDERED', '{box.document['acme']['directory']}', 1, 1"
    columns = "name, active_name, state, directory, created_at, updated_at"
    box.database.execute(f"INSERT INTO orders ({columns}) VALUES ({row})")  # noqa: S608
    with box.timed(sweep_seconds=0):
        outcome = box.fails("run", says=["no time", "3 rows of orders and challenges stay"])
    assert f"{name}: stored" in outcome.out
    box.fails("run", says=["gone.lab.test: order not ours"])
    assert box.database.query("SELECT COUNT(*) FROM challenges") == [(0,)]
    assert box.database.query("SELECT active_name FROM orders WHERE name = 'gone.lab.test'") == [(None,)]


def test_answers_of_one_order_on_two_servers(box: Box, tmp_path: Path) -> None:
    """Withdrawing one of them leases the order, so the other waits for that; one sweep withdraws both."""
    box.enrol(NAME)
    file = tmp_path / "html" / ".well-known" / "acme-challenge" / "token"
    file.parent.mkdir(parents=True)
    settings = load(Settings, box.config)
    tools = build_tools(settings, Database(settings.database))
    [ca] = tools.authorities.values()
    file.write_text(ca.key_authorization("token"))
    row = "(id, name, state, directory, created_at, updated_at) VALUES (999, 'gone.lab.test', 'FAILED', 'x', 1, 1)"
    box.database.execute(f"INSERT INTO orders {row}")
    leave(box, f"_acme-challenge.{NAME}", f"_acme-challenge.{NAME}", DIGEST)
    leave(box, NAME, to_journal(str(tmp_path / "html"), socket.gethostname()), file.read_text(), kind="http-01")
    leased, together, visits = Journal.leased, threading.Barrier(2), itertools.count()

    @contextmanager
    def at_once(journal: Journal, entries: Sequence[Challenge], now: int) -> Iterator[list[Challenge]]:
        with leased(journal, entries, now) as ours:
            if next(visits) < 2:
                together.wait(60)
            yield ours

    with patch.object(Journal, "leased", at_once):
        sweep(tools)
    assert not file.exists()
    assert box.database.query("SELECT COUNT(*) FROM challenges") == [(0,)]


def test_what_a_new_order_publishes_again_is_not_swept(
    proxied: Box, proxy: CaProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CA gives the order of a removed name to the same name enrolled again, so the same value is published, while a
    slow name server is still busy taking it back: the certificate is stored at the first try, and nothing is left."""
    proxy.after.append(SharedOrder())
    proxied.enrol(NAME)
    assert killed_run(proxied, "issuer.dns.zones:Zones.unseen", "before", 1) < 0
    assert len(proxied.txt(NAME)) == 1
    proxied.database.execute("UPDATE orders SET lease_until = 0")
    proxied.ok("remove", NAME, "--yes")
    proxied.populate(NAME)
    slow = SlowSweep()
    proxied.first_pause = 0.5  # the sweep is over long before the last of its tries
    proxy.before.append(slow)
    monkeypatch.setattr(Zones, "remove", slow.slowly(Zones.remove))
    with proxied.timed(head_start=0.2):
        outcome = proxied.ok("run")
    assert f"{NAME}: stored" in outcome.out
    assert proxied.row(NAME, "count_fail_update") == (0,)
    urls = {url for _, url in proxied.orders(NAME)}
    assert len(urls) == 1, "the CA gave the same order"
    assert proxied.txt(NAME) == set()
    assert proxied.database.query("SELECT COUNT(*) FROM challenges") == [(0,)]
