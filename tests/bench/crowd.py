"""A thousand whole agents at once on one MariaDB: a new certificate for each, and then a day without news.

Each agent is a process with a configuration, a state folder, a connection and a database account of its own. It has
imported the product already, and waits at a gate until the last one is there: what is measured begins when it opens.
"""

import fcntl
import json
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.host import keys
from tests.agent.host import Host
from tests.bench.measure import seconds, spread
from tests.bench.tables import table
from tests.issuer.box import Box
from tests.servers.forks import Forks
from tests.servers.mariadb import MariaDB

HEAD = ("agents at once", "failed", "not reported", "wall s", "one waited s", "CPU s each", "connections", "deadlocks")
PATIENCE = 150.0  # seconds that the last agent gets; what has not ended then has failed
_ANY = "agent-of-any-host"
_DESCRIPTORS = 8  # of one agent, in the processes around it
_PROGRAM = """import fcntl, json, time
with open("ready", "a") as ready:
    ready.write(".")
with open("gate") as gate:
    fcntl.flock(gate, fcntl.LOCK_SH)
from agent.cli import main
began = time.monotonic()
code = main()
turn = [code, time.monotonic() - began, time.process_time()]
with open("turns", "a") as turns:
    turns.write(json.dumps(turn) + chr(10))
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """One agent: its exit code, the seconds from the gate to its end, and those that it computed."""

    code: int
    waited: float
    cpu: float


@dataclass(slots=True)
class Crowd:
    """*agents* that did *what* at once. *unsent*: those whose report the server did not take; the next run sends it.
    *connections*, *deadlocks*: what the server has counted; *said*: the first complaint."""

    what: str
    agents: int
    wall: float
    turns: list[Turn] = field(default_factory=list)
    unsent: int = 0
    connections: int = 0
    deadlocks: int = 0
    said: str = ""

    @property
    def failed(self) -> int:
        """How many did not end well, or not at all."""
        return self.agents - sum(turn.code == 0 for turn in self.turns)

    def row(self) -> list[str]:
        waited = spread([turn.waited for turn in self.turns], seconds)
        cpu = seconds(statistics.median(turn.cpu for turn in self.turns)) if self.turns else "—"
        counts = [str(self.failed), str(self.unsent), seconds(self.wall), waited, cpu]
        return [f"{self.agents:,}: {self.what}", *counts, str(self.connections), str(self.deadlocks)]


class Hosts:
    """Hosts with one certificate each on *server*: the accounts as `db grants` prints them, tables as an issuer has."""

    def __init__(self, folder: Path, server: MariaDB, agents: int) -> None:
        self.folder = folder
        self.server = server
        self.database = server.create_database()
        self.names = [f"host{number:04d}.example.test" for number in range(agents)]
        self.host = Host(folder)
        self.host.make_key()
        self._box = Box(folder / "box", self.database)
        self._box.set_up()
        password = folder / "password"
        words = ["db", "grants", _ANY, "--create", "--password-file", str(password)]
        grants = self._box.ok(*words).out.splitlines()
        for name in self.names:
            self._settle(name, grants, password)
        self.offer()

    def _settle(self, name: str, grants: Sequence[str], password: Path) -> None:
        """A host of that name: its account, its folders, its agent.toml."""
        account, host = name.partition(".")[0], self.host
        for statement in grants:
            self.server.sql(statement.removesuffix(";").replace(_ANY, account))
        host.name, host.state_dir, host.config = name, self.folder / f"{name}.state", self._config(name)
        host.fullchain = host.live / f"{name}.pem"
        url = f"mysql://{account}@{self.server.host}:{self.server.port}/{self.database.name}"
        source = f'url = "{url}"\npassword_file = "{password}"\ntls_ca = "{self.server.ca_file}"'
        host.configure(source=source)

    def _config(self, name: str) -> Path:
        return self.folder / f"{name}.toml"

    def offer(self) -> None:
        """Something new for each, as the issuer stores it."""
        key, moment = keys.load(self.host.key), int(time.time())
        rows = []
        for name in self.names:
            issued = self.host.authority.sign(keys.csr(key, (name,)))
            rows.append(f"('{name}', 'Y', x'{issued.cert_pem.hex()}', x'{issued.chain_pem.hex()}', {moment}, 0)")
        columns = "name, enable, crt, ca, ts_last_update, ts_expire"
        self.database.execute(f"REPLACE INTO certs ({columns}) VALUES {', '.join(rows)}")  # noqa: S608 - our own words

    def run(self, what: str) -> Crowd:
        """`certfleet-agent run` on all of them at the same moment."""
        for name in ("ready", "turns", "said"):
            (self.folder / name).write_bytes(b"")
        _allow_descriptors(_DESCRIPTORS * len(self.names))
        self.server.sql("FLUSH STATUS")
        before = self._counted("Innodb_deadlocks")
        with ExitStack() as opened:
            gate = opened.enter_context((self.folder / "gate").open("w"))
            fcntl.flock(gate, fcntl.LOCK_EX)
            said = opened.enter_context((self.folder / "said").open("ab"))
            forks = Forks("agent")
            opened.callback(forks.close)
            started = [
                forks.start(
                    _PROGRAM, ["run", "--quiet"], folder=self.folder, files=[said, said],
                    environment={**os.environ, "CERTFLEET_CONFIG": str(self._config(name))},
                )
                for name in self.names
            ]  # fmt: skip
            while (self.folder / "ready").stat().st_size < len(started):
                time.sleep(0.05)
            fcntl.flock(gate, fcntl.LOCK_UN)
            began = time.monotonic()
            for one in started:
                with suppress(subprocess.TimeoutExpired):
                    one.wait_or_kill(max(0.0, PATIENCE - (time.monotonic() - began)))
            wall = time.monotonic() - began
        crowd = Crowd(what, len(self.names), wall, [Turn(*turn) for turn in self._lines("turns")])
        crowd.unsent = sum(self._is_unsent(name) for name in self.names)
        crowd.connections = self._counted("Max_used_connections")
        crowd.deadlocks = self._counted("Innodb_deadlocks") - before
        crowd.said = (self.folder / "said").read_text(encoding="utf-8", errors="replace").strip()
        return crowd

    def _lines(self, name: str) -> list[Any]:
        return [json.loads(line) for line in (self.folder / name).read_text(encoding="ascii").splitlines()]

    def _is_unsent(self, name: str) -> bool:
        """Has the server not taken what this agent had to tell?"""
        try:
            record = (self.folder / f"{name}.state" / "records" / f"{name}.json").read_bytes()
        except FileNotFoundError:
            return True
        return bool(json.loads(record)["unsent"])

    def _counted(self, what: str) -> int:
        ((_, found),) = self.server.sql(f"SHOW GLOBAL STATUS LIKE '{what}'")
        return int(str(found))

    def a_day_later(self) -> None:
        """Each agent has to confirm its report, which it does once a day."""
        for name in self.names:
            (self.folder / f"{name}.state" / "confirmed").unlink(missing_ok=True)


def at_once(folder: Path, server: MariaDB, agents: int) -> Iterator[Crowd]:
    """Something new for each; then nothing new, a day later."""
    hosts = Hosts(folder, server, agents)
    yield hosts.run("something new for each")
    hosts.a_day_later()
    yield hosts.run("nothing new, reports confirmed")


def crowd_table(crowds: Sequence[Crowd]) -> str:
    said = [f"  {one.agents:,}: {one.what}: {one.said.splitlines()[0]}" for one in crowds if one.said]
    return "\n".join(["Agents at once on one MariaDB", table(HEAD, [one.row() for one in crowds]), *said, ""])


def _allow_descriptors(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
