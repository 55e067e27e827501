"""The agent: its day without news beside certbot's."""

import shutil
import sysconfig
import venv
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.agent.accounts import Agents, source_lines
from tests.agent.host import AGENT, NAME, ROOT, Host
from tests.bench.measure import Command, Sample, Stopwatch
from tests.bench.peers import Certbot
from tests.bench.scene import World
from tests.bench.tables import sample_cells, table
from tests.servers.mariadb import MariaDB
from tests.servers.nginx import Nginx

CERTBOT = "certbot renew"

HEAD = ("nothing new", "wall s", "CPU s", "peak MB")


@dataclass(slots=True)
class Daily:
    """One program's daily run with nothing to do, over some number of certificates."""

    program: str
    certificates: int
    command: Command
    environment: Mapping[str, str]
    samples: list[Sample] = field(default_factory=list)

    def time(self, stopwatch: Stopwatch) -> None:
        self.samples.append(stopwatch.time([self.command], self.environment))
        if self.samples[-1].codes != (0,):
            raise RuntimeError(f"{self.program} over {self.certificates} ended with {self.samples[-1].codes}")


@dataclass(slots=True)
class Days:
    """Several programs that took turns, so that a busy machine is busy for all of them."""

    runs: list[Daily]
    absent: dict[str, str]

    def text(self) -> str:
        rows: list[list[str]] = [
            [f"{one.program}, {one.certificates} certificates", *sample_cells(one.samples)] for one in self.runs
        ]
        rows += [[name, why] for name, why in self.absent.items()]
        return "\n".join(["The agent's daily run, sockets looked at, beside certbot renew", table(HEAD, rows), ""])

    def ratios(self, program: str, certificates: int, take: Callable[[Sample], float]) -> list[float]:
        """What *program* took, in parts of what certbot took in the run beside it; [] if one of them is absent."""
        found = {one.program: one.samples for one in self.runs if one.certificates == certificates}
        pairs = zip(found.get(program, []), found.get(CERTBOT, []), strict=False)
        return [take(ours) / take(theirs) for ours, theirs in pairs]


def daily_runs(
    folder: Path, world: World, *, stopwatch: Stopwatch, rounds: int, mariadb: MariaDB | str, certbot: str, name: str
) -> Days:
    """`certfleet-agent run` on hosts that have everything in place, and `certbot renew` with nothing due.

    *certbot* says why there is none, or nothing; it gets a real certificate for *name* first, and copies of that.
    """
    days = Days([], {CERTBOT: certbot} if certbot else {})
    command = [str(installed(folder / "venv")), "-c", AGENT, "run"]
    with ExitStack() as running:
        for count in (1, 100):
            host = _host(folder / f"sqlite-{count}", world, running, count)
            days.runs.append(Daily("certfleet-agent, SQLite", count, command, host))
            if isinstance(mariadb, str):
                days.absent["certfleet-agent, MariaDB"] = mariadb
            else:
                host = _host(folder / f"mariadb-{count}", world, running, count, mariadb)
                days.runs.append(Daily("certfleet-agent, MariaDB", count, command, host))
            if not certbot:
                peer = Certbot(folder / f"certbot-{count}", world, [])
                stopwatch.time(peer.issue([name]), peer.environment)
                copies = [f"copy{number:03d}.bench.test" for number in range(1, count)]
                peer.copy(name, copies)
                if peer.held() != count:
                    raise RuntimeError(f"certbot holds {peer.held()} certificates and not {count}")
                days.runs.append(Daily(CERTBOT, count, peer.nothing_due([])[0], peer.environment))
        for number in range(rounds + 1):
            for daily in days.runs:
                daily.time(stopwatch)
                if not number:  # the first round installs, writes bytecode and warms everything up
                    daily.samples.clear()
    return days


def installed(folder: Path) -> Path:
    """The Python of an environment like a user's: without the import hook of our own, which costs 0.015 s a start."""
    venv.create(folder, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    for package in ("agent", "common"):
        shutil.copytree(ROOT / package, packages / package)
    (packages / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    return folder / "bin" / "python"


def _host(
    folder: Path, world: World, running: ExitStack, count: int, mariadb: MariaDB | None = None
) -> Mapping[str, str]:
    """A host with *count* certificates, of which nginx serves the first: the environment of its agent."""
    host = Host(folder)
    host.make_key()
    host.put_placeholder()
    nginx = running.enter_context(Nginx(folder / "nginx", host.fullchain, host.key, name=NAME))
    probe, source, enrol = [f"https://127.0.0.1:{nginx.port}"], "", None
    if mariadb is not None:
        agents = Agents(mariadb.create_database(), folder)
        source, enrol = source_lines(agents.settings()), agents.enrol
    host.configure(check=nginx.check, activate=nginx.activate, probe=probe, source=source)
    host.fill(count, enrol)
    return world.environment() | {"CERTFLEET_CONFIG": str(host.config)}
