"""The benchmark's own instruments: what they measure has to be true before a ratio means anything."""

import os
import shutil
import socket
import sys
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.agent.host import AGENT, ROOT
from tests.bench import aims
from tests.bench.crowd import Hosts, crowd_table
from tests.bench.delay import DelayedRelay
from tests.bench.hosts import DAEMONS, Agent, Crowd, crowds_table
from tests.bench.measure import Sample, Stopwatch, spread, times
from tests.bench.nothing_due import Explained, fill, plans_told
from tests.bench.peers import entries
from tests.bench.plan import Plan
from tests.bench.tables import table
from tests.issuer.box import Box
from tests.servers.database import Database
from tests.servers.mariadb import MariaDB

BURN = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
LARGE = 150 * 1024 * 1024


def test_children_of_a_command_count_and_its_parent_does_not(tmp_path: Path) -> None:
    """CPU time of a grandchild is counted; memory is the command's own, however large the one who asks is."""
    shell = shutil.which("sh") or "/bin/sh"
    ballast = bytearray(os.urandom(1)) * LARGE
    with Stopwatch(tmp_path / "log") as stopwatch:
        busy = stopwatch.time([[shell, "-c", f"'{sys.executable}' -c '{BURN}'; exit 3"]])
        small = stopwatch.time([[shell, "-c", "exit 0"], [shell, "-c", "exit 1"]])
    assert len(ballast) == LARGE
    assert busy.codes == (3,)
    assert busy.cpu >= 0.3
    assert small.codes == (0, 1)
    assert small.megabytes < 40


def test_the_relay_is_late_side_by_side_and_changes_nothing() -> None:
    """Every answer comes a second late, byte for byte; ten connections wait at once and not in turn."""
    content = os.urandom(300_000)
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        threading.Thread(target=_echo, args=(listening, 10, len(content)), daemon=True).start()
        took: list[float] = []
        with DelayedRelay(("127.0.0.1", listening.getsockname()[1]), 1.0) as relay:
            began = time.monotonic()
            clients = [threading.Thread(target=_ask, args=(relay.port, content, took)) for _ in range(10)]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            assert time.monotonic() - began < 9
    assert len(took) == 10
    assert min(took) >= 1.0


def test_the_relay_closes_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    """Connections that are idle, wait for an answer, or have one on its way are cut; asyncio has nothing to log."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening, ExitStack() as opened:
        with DelayedRelay(("127.0.0.1", listening.getsockname()[1]), 60.0) as relay:
            clients = []
            for _ in range(3):
                client = opened.enter_context(socket.create_connection(("127.0.0.1", relay.port), timeout=10))
                clients.append((client, opened.enter_context(listening.accept()[0])))
            for client, server in clients[1:]:
                client.sendall(b"?")
                assert _read(server, 1) == b"?"
            clients[2][1].sendall(b"!")
            time.sleep(0.1)  # it lies with the relay
        assert [_ended(end) for pair in clients for end in pair] == [True] * 6
    assert caplog.messages == []


def _ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def _echo(listening: socket.socket, connections: int, size: int) -> None:
    def serve(connection: socket.socket) -> None:
        with connection:
            connection.sendall(_read(connection, size))

    for _ in range(connections):
        threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()


def _ask(port: int, content: bytes, took: list[float]) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        began = time.monotonic()
        connection.sendall(content)
        assert _read(connection, len(content)) == content
        took.append(time.monotonic() - began)


def _read(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        chunk = connection.recv(65536)
        assert chunk
        received += chunk
    return bytes(received)


def test_no_query_of_the_daily_run_reads_the_whole_table(database: Database, tmp_path: Path) -> None:
    """EXPLAIN of every SELECT that `run` sends when nothing is due, on each engine."""
    box = Box(tmp_path / "box", database)
    box.write(acme={"directory": "https://ca.bench.test/dir"})
    box.set_up()
    fill(database, 500)
    box.ok("adopt", "--all", "--yes")
    with plans_told() as told:
        assert box.ok("run").out.strip() == "nothing is due"
    assert told
    assert [plan for plan in told if plan.reads_everything] == []


def test_a_query_that_reads_the_whole_table_is_found(database: Database, tmp_path: Path) -> None:
    """`status` shows every row, so it has to read them: in portions, or else it would be told."""
    box = Box(tmp_path / "box", database)
    box.set_up()
    fill(database, 300)
    with plans_told() as told:
        box.run("status")
    scans = [(plan, step) for plan in told for step in plan.steps if step.startswith("SCAN")]
    assert scans
    assert all(Explained("certs WHERE comment = 'x'", (step,)).reads_everything for _, step in scans if "certs" in step)


def test_who_does_not_run_is_named_with_the_reason() -> None:
    """The short plan takes two peers for many certificates, the full one all; a name overrules both."""
    short, full = Plan.of({}), Plan.of({"BENCH_FULL": "1"})
    asked = {entry.name: entry.missing for entry in short.entries(entries(), 20)}
    assert "BENCH_FULL=1" in asked["dehydrated"] or "not installed" in asked["dehydrated"]
    assert full.sizes == (1, 20, 100)
    assert not any("left out" in entry.missing for entry in full.entries(entries(), 100))
    assert [entry.name for entry in Plan.of({"BENCH_PEERS": "lego"}).entries(entries(), 100)] == ["lego"]
    assert (short.hosts, Plan.of({"BENCH_HOSTS": "40"}).hosts) == (500, 40)
    assert (short.agents, Plan.of({"BENCH_AGENTS": "40"}).agents) == (1000, 40)
    for name in ("BENCH_HOSTS", "BENCH_AGENTS"):
        with pytest.raises(ValueError, match=f"{name} must be"):
            Plan.of({name: "0"})
    with pytest.raises(ValueError, match="BENCH_PARTS knows no nap"):
        Plan.of({"BENCH_PARTS": "fast,nap"})


def test_tables_align_and_ratios_keep_their_spread() -> None:
    """The lowest and the highest stand beside the median; who is absent takes the rest of the line."""
    assert spread([3.0, 1.0, 2.0], times) == "2.00x (1.00x-3.00x)"
    lines = table(["client", "wall"], [["certfleet", "1"], ["lego", "not installed"], ["uacme"]]).splitlines()
    assert lines[2].endswith("            1")
    assert len({len(line) for line in lines[:4]}) == 1


# `make bench` has each daemon
@pytest.mark.parametrize("daemon", [pytest.param(one, marks=[pytest.mark.soak] * (one != "nginx")) for one in DAEMONS])
def test_virtual_hosts_of_one_daemon(daemon: str, tmp_path: Path) -> None:
    """One check and one reload for all; installs of their own are counted as such; what is served is looked at."""
    with DAEMONS[daemon](tmp_path / "host", 4) as vhosts, Stopwatch(tmp_path / "log") as stopwatch:
        variables = {**os.environ, "CERTFLEET_CONFIG": str(vhosts.host.config), "PYTHONPATH": str(ROOT)}
        agent = Agent(vhosts, [sys.executable, "-c", AGENT, "run"], variables, stopwatch)
        assert agent.together()[1] == (1, 1)
        assert agent.alone(2).codes == (0,)
        assert agent.together()[1] == (1, 1)
        with pytest.raises(RuntimeError, match="the agent ended with"):
            Agent(vhosts, ["true"], variables, stopwatch).together()


@pytest.mark.soak
def test_agents_at_once(mariadb: MariaDB, tmp_path: Path) -> None:
    """Whole agents, each with an account of its own; what ends badly, or has not reported, is counted."""
    hosts = Hosts(tmp_path / "crowd", mariadb, 3)
    new = hosts.run("something new for each")
    assert (new.failed, new.unsent, new.said) == (0, 0, "")
    assert hosts.database.query("SELECT COUNT(*) FROM installations") == [(3,)]
    assert all(hosts.host.live.joinpath(f"{name}.pem").exists() for name in hosts.names)
    assert 1 <= new.connections <= 3 + 1  # and ours
    assert aims.of_crowd(new).met
    hosts.a_day_later()
    shutil.rmtree(tmp_path / "crowd" / f"{hosts.names[0]}.state" / "records")
    (tmp_path / "crowd" / f"{hosts.names[0]}.toml").write_text("")
    day = hosts.run("nothing new")
    assert (day.failed, day.unsent) == (1, 1)
    assert not aims.of_crowd(day).met
    assert "3: nothing new" in crowd_table([new, day])


def test_the_aim_of_virtual_hosts_is_judged_by_its_median() -> None:
    """The projection is made of the single installs in the run right beside; a second reload is no success."""
    crowd = Crowd("nginx", 500, 10)
    for wall, alone, commands in [(10.0, 10.0, (1, 1)), (10.0, 20.0, (1, 1)), (5.0, 12.0, (1, 1))]:
        crowd.together.append(Sample(wall, 1, 1, (0,)))
        crowd.alone.append(Sample(alone, 1, 1, (0,)))
        crowd.commands.append(commands)
    assert crowd.ratios() == [50, 100, 120]
    assert [aim.met for aim in aims.of_virtual_hosts(crowd)] == [True, True]
    crowd.commands[1] = (1, 2)
    assert [aim.met for aim in aims.of_virtual_hosts(crowd)] == [False, True]
    assert "projected from 10 single installs" in crowds_table([crowd])
    crowd.alone[1:] = [Sample(4.0, 1, 1, (0,))] * 2
    assert [aim.met for aim in aims.of_virtual_hosts(crowd)] == [False, False]
