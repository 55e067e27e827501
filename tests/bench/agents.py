"""The agent: its daily run with nothing new, and a thousand of them asking one MariaDB at the same moment."""

import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from agent.model.errors import SourceError
from agent.source.mysql import MysqlSource
from common.database_url import MysqlAddress
from tests.agent.host import AGENT, ROOT, Host
from tests.bench.measure import Sample, Stopwatch, seconds, spread
from tests.bench.scene import World
from tests.bench.tables import sample_cells, table
from tests.servers.sql_server import SqlDatabase

HEAD = ("agent", "wall s", "CPU s", "peak MB")
STACK = 256 * 1024  # bytes; a thousand threads of the usual size would be eight gigabytes


def daily_run(folder: Path, world: World, stopwatch: Stopwatch, rounds: int) -> list[Sample]:
    """`certfleet-agent run` on a host that has its certificate in place already."""
    host = Host(folder)
    host.make_key()
    host.put_placeholder()
    host.offer_new()
    host.configure(check=["true"], activate=["true"])
    environment = world.environment() | {"PYTHONPATH": str(ROOT), "CERTFLEET_CONFIG": str(host.config)}
    command = [sys.executable, "-c", AGENT, "run"]
    before = stopwatch.time([command], environment)  # this one installs
    live = host.fullchain.stat().st_mtime_ns
    samples = [stopwatch.time([command], environment) for _ in range(rounds)]
    if {sample.codes for sample in (before, *samples)} != {(0,)} or host.fullchain.stat().st_mtime_ns != live:
        raise RuntimeError(f"the agent's run was not one without work: exit codes {[one.codes for one in samples]}")
    return samples


def daily_table(samples: list[Sample]) -> str:
    return "\n".join(["The agent's daily run, SQLite", table(HEAD, [["nothing new", *sample_cells(samples)]]), ""])


@dataclass(slots=True)
class Poll:
    """A crowd asking its cheap question, each over a connection of its own with verified TLS."""

    agents: int
    wall: float = 0.0
    waits: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def text(self) -> str:
        said = f"; {len(self.errors)} FAILED, the first: {self.errors[0]}" if self.errors else ", none failed"
        return (
            f"{self.agents:,} agents asking MariaDB at once, one process: {seconds(self.wall)} s for all{said}\n"
            f"  one waited {spread(self.waits, seconds)} s\n"
        )


def poll_at_once(database: SqlDatabase, agents: int) -> Poll:
    """*agents* threads, let go together. What this measures includes this process's own share of every handshake."""
    server = database.server
    address = MysqlAddress(database.user, ((server.host, server.port),), database.name)
    poll = Poll(agents)
    start = threading.Barrier(agents + 1)

    def ask(number: int) -> None:
        start.wait()
        began = time.monotonic()
        source = MysqlSource(address, database.password, database.tls_ca)
        try:
            if source.mark(f"host{number:06d}.bench.test") is None:
                poll.errors.append(f"row {number} was not found")
        except SourceError as error:
            poll.errors.append(str(error))
        finally:
            source.close()
        poll.waits.append(time.monotonic() - began)

    usual = threading.stack_size(STACK)
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, agents + 1)]
    for thread in threads:
        thread.start()
    threading.stack_size(usual)
    start.wait()
    began = time.monotonic()
    for thread in threads:
        thread.join()
    poll.wall = time.monotonic() - began
    return poll
