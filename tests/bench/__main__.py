"""`python -m tests.bench`: start everything privately, run what the plan says, print each table as it is ready."""

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import aims, room
from tests.bench.agents import daily_runs, installed
from tests.bench.contender import Certfleet, Contender, Entry
from tests.bench.crowd import at_once, crowd_table
from tests.bench.far import far_table, travel
from tests.bench.hosts import crowds, crowds_table
from tests.bench.measure import Stopwatch
from tests.bench.nothing_due import measure
from tests.bench.peers import entries
from tests.bench.plan import USAGE, Plan, from_environment
from tests.bench.race import Course, Heat
from tests.bench.scene import Scene, World
from tests.bench.tables import Aim, aims_table, heat_table
from tests.servers.database import SqliteDatabase
from tests.servers.mariadb import MariaDB
from tests.servers.process import MissingProgram, ServerFailed

# As shipped by Debian where the tests' own server is made small and never waits for the disk; and room for the crowd.
SYNC = ("--debug-no-sync=0", "--innodb-flush-method=fsync")
MARIADB = (*SYNC, "--innodb-buffer-pool-size=128M", "--max-connections=1100", "--back-log=1000")


class Bench:
    """One benchmark on one scene."""

    def __init__(self, plan: Plan, scene: Scene, stopwatch: Stopwatch, mariadb: MariaDB | str) -> None:
        self._plan = plan
        self._scene = scene
        self._stopwatch = stopwatch
        self._mariadb = mariadb  # or why there is none
        self._folder = scene.folder / "state"
        self._folder.mkdir()
        self._aims: list[Aim] = []

    def run(self) -> None:
        """Every part of the plan, then the aims."""
        parts: dict[str, Callable[[], None]] = {
            "fast": self._fast,
            "shipped": self._shipped,
            "far": self._far,
            "due": self._due,
            "agent": self._agent,
            "crowd": self._crowd,
            "hosts": self._hosts,
        }
        for name, part in parts.items():
            if name in self._plan.parts:
                part()
        say(aims_table(self._aims))

    def _fast(self) -> None:
        everybody = [_on_mariadb(self._mariadb), *entries()]
        course = self._course(self._scene.world(self._scene.fast))
        heats: dict[int, Heat] = {}
        for size in self._plan.sizes:
            title = f"{_certificates(size)}, Pebble fast (no sleep, no nonce refused)"
            heats[size] = course.run(title, size, self._plan.entries(everybody, size), self._plan.rounds(size))
            say(heat_table(heats[size]))
        self._aims += aims.of_heats(heats)

    def _shipped(self) -> None:
        course = self._course(self._scene.world(self._scene.shipped))
        heats: dict[int, Heat] = {}
        for size in self._plan.sizes:
            title = f"{_certificates(size)}, Pebble as shipped (sleeps up to 5 s, refuses 5 % of the nonces)"
            peers = self._plan.entries(entries(), size, shipped=True)
            heats[size] = course.run(title, size, peers, self._plan.rounds(size) if self._plan.full else 1)
            say(heat_table(heats[size]))
        self._aims.append(aims.of_shipped(heats.get(100), self._slowest_validation()))

    def _slowest_validation(self) -> float:
        log = (self._scene.folder / "shipped" / "pebble.log").read_text(encoding="utf-8", errors="replace")
        return max((float(found) for found in re.findall(r"Sleeping for ([\d.]+)s seconds? before", log)), default=0.0)

    def _far(self) -> None:
        trips = travel(self._scene, self._folder, self._stopwatch, self._plan.far_orders, (8, 32))
        say(far_table(trips))
        self._aims += aims.of_trips(trips)

    def _due(self) -> None:
        world, rows = self._scene.world(self._scene.fast), self._plan.rows
        rounds = 7 if self._plan.full else 3
        folders = {count: self._folder / f"rows-{count}" for count in rows}
        for folder in folders.values():
            folder.mkdir()
        idle = measure(
            "SQLite", {count: SqliteDatabase(folders[count]) for count in rows},
            self._folder, world, stopwatch=self._stopwatch, rounds=rounds,
        )  # fmt: skip
        say(idle.text())
        self._aims += aims.of_idle(idle)
        if isinstance(self._mariadb, str):
            say(f"Nothing due, MariaDB: {self._mariadb}\n")
            return
        databases = {count: self._mariadb.create_database() for count in rows}
        idle = measure("MariaDB", dict(databases), self._folder, world, stopwatch=self._stopwatch, rounds=rounds)
        say(idle.text())
        self._aims += aims.of_idle(idle)

    def _agent(self) -> None:
        world, rounds = self._scene.world(self._scene.fast), 7 if self._plan.full else 5
        certbot = next(entry.missing for entry in entries() if entry.name == "certbot")
        days = daily_runs(
            self._folder / "hosts", world, stopwatch=self._stopwatch, rounds=rounds,
            mariadb=self._mariadb, certbot=certbot, name=self._scene.names[0],
        )  # fmt: skip
        say(days.text())
        self._aims += aims.of_days(days)

    def _crowd(self) -> None:
        if isinstance(self._mariadb, str):
            say(f"Agents at once: {self._mariadb}\n")
            return
        crowds = list(at_once(self._folder / "crowd", self._mariadb, self._plan.agents))
        say(crowd_table(crowds))
        self._aims += [aims.of_crowd(crowd) for crowd in crowds]

    def _hosts(self) -> None:
        folder, environment = self._folder / "virtual", self._scene.world(self._scene.fast).environment()
        python, rounds = installed(folder / "venv"), self._plan.rounds_wanted or (5 if self._plan.full else 2)
        found = []
        for crowd in crowds(
            folder, python, environment, stopwatch=self._stopwatch, count=self._plan.hosts, rounds=rounds
        ):
            found.append(crowd)
            self._aims += aims.of_virtual_hosts(crowd)
        say(crowds_table(found))

    def _course(self, world: World) -> Course:
        return Course(self._folder, world, self._scene.names, self._stopwatch)


def _on_mariadb(server: MariaDB | str) -> Entry:
    """certfleet once more, with a database of its own on a real server for each run."""

    def make(folder: Path, world: World, names: Sequence[str]) -> Contender:
        assert not isinstance(server, str)
        return Certfleet(folder, world, names, server.create_database())

    return Entry("certfleet on MariaDB", "its defaults", make, server if isinstance(server, str) else "")


def _certificates(size: int) -> str:
    return "One certificate" if size == 1 else f"{size} certificates, a sub-zone each"


def _mariadb(running: ExitStack) -> MariaDB | str:
    try:
        return running.enter_context(MariaDB(options=MARIADB))
    except (MissingProgram, ServerFailed, OSError) as error:
        return f"no MariaDB: {str(error).splitlines()[0]}"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """0 when everything was measured, whatever came out; 2 for a plan that cannot be meant."""
    try:
        plan = from_environment()
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n\n{USAGE}\n")
        return 2
    room.enter()
    began = time.monotonic()
    load = f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
    say(f"certfleet beside its peers, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {load}")
    say("Ratios: how many times what certfleet took in the run right beside it; median (lowest to highest).\n")
    with tempfile.TemporaryDirectory(prefix="certfleet-bench-") as name, ExitStack() as running:
        folder = Path(name)
        folder.chmod(0o755)
        stopwatch = running.enter_context(Stopwatch(folder / "stopwatch.log"))
        scene = running.enter_context(Scene(folder, max(plan.zones, *plan.far_orders) + 2))
        Bench(plan, scene, stopwatch, _mariadb(running)).run()
    minutes = (time.monotonic() - began) / 60
    say(f"{minutes:.1f} minutes; load at the end {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
