"""Many virtual hosts of one daemon that are due in one run, beside installs of one certificate each on the same daemon.

The daemons are real, and have a file for each virtual host. Single installs are a sample: what a whole service full of
them would take is a projection, and is said to be one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.agent.host import AGENT, Host
from tests.agent.vhosts import Vhosts
from tests.bench.measure import Sample, Stopwatch, seconds, spread, times
from tests.bench.tables import sample_cells, table
from tests.servers.apache import Apache
from tests.servers.authority import Issued
from tests.servers.haproxy import Haproxy
from tests.servers.nginx import Nginx
from tests.servers.ports import LOOPBACK

HEAD = ("one run, all due", "checks, reloads", "wall s", "CPU s", "peak MB", "single install, wall s", "ratio")
SINGLES = 8  # single installs of a sample
PATIENCE = "60s"  # a busy machine takes its time over a reload of a thousand files


class ApacheHosts(Vhosts):
    """Virtual hosts of an Apache, each a block of its configuration."""

    def serve(self, names: Sequence[str]) -> None:
        conf = self.daemon.folder / "apache2.conf"
        blocks = [
            f"<VirtualHost {LOOPBACK}:{self.daemon.port}>\nServerName {name}\nSSLEngine on\n"
            f'SSLCertificateFile "{self.file(name)}"\nSSLCertificateKeyFile "{self.host.key}"\n</VirtualHost>\n'
            for name in names
        ]
        conf.write_text(conf.read_text(encoding="utf-8") + "".join(blocks), encoding="utf-8")


class HaproxyHosts(Vhosts):
    """Names of an HAProxy, which reads every file of the folder with live files, and finds the names in them."""

    def placeholder(self) -> bytes:
        return super().placeholder() + self.host.key.read_bytes()

    def files(self, name: str) -> str:
        return f'[[certificate.combined]]\npath = "{self.file(name)}"\nparts = ["certificate", "chain", "key"]'

    def serve(self, names: Sequence[str]) -> None:
        """There is nothing to configure."""


class HaproxyOfOnePort(Haproxy):
    """An HAProxy as virtual hosts want it."""

    @property
    def port(self) -> int:
        return self.ports["https"]


@dataclass(slots=True)
class Crowd:
    """What *count* virtual hosts of one *daemon* took: in one run, and in the runs right beside those for *singles* of
    them, each by an install of its own. *commands* are the checks and the reloads of each run over all."""

    daemon: str
    count: int
    singles: int
    together: list[Sample] = field(default_factory=list)
    alone: list[Sample] = field(default_factory=list)
    commands: list[tuple[int, int]] = field(default_factory=list)

    @property
    def each(self) -> list[float]:
        """The seconds of one single install, run by run."""
        return [sample.wall / self.singles for sample in self.alone]

    def ratios(self) -> list[float]:
        """How many times what one run over all takes as many single installs would take."""
        pairs = zip(self.together, self.each, strict=True)
        return [one * self.count / together.wall for together, one in pairs]

    def row(self) -> list[str]:
        told = ", ".join(dict.fromkeys(f"{checks}, {reloads}" for checks, reloads in self.commands))
        costs = sample_cells(self.together)
        return [
            f"{self.count} on {self.daemon}",
            told,
            *costs,
            spread(self.each, seconds),
            spread(self.ratios(), times),
        ]


def crowds_table(crowds: Sequence[Crowd]) -> str:
    said = [
        "Virtual hosts of one daemon that are due together; the ratio is what as many single installs take ÷ one run.",
        f"That is projected from {max((one.singles for one in crowds), default=0)} single installs in a run beside it,"
        " in which each certificate has a service of its own.",
    ]
    return "\n".join([*said, table(HEAD, [one.row() for one in crowds]), ""])


def crowds(
    folder: Path, python: Path, environment: Mapping[str, str], *, stopwatch: Stopwatch, count: int, rounds: int
) -> Iterator[Crowd]:
    """One after another, each daemon with *count* virtual hosts; *python* runs the agent."""
    for daemon, started in DAEMONS.items():
        with started(folder / daemon, count) as vhosts:
            variables = {**environment, "CERTFLEET_CONFIG": str(vhosts.host.config)}
            agent = Agent(vhosts, [str(python), "-c", AGENT, "run"], variables, stopwatch)
            crowd = Crowd(daemon, count, min(SINGLES, count))
            agent.together()  # the first certificates; and it writes bytecode
            for _ in range(rounds):
                sample, commands = agent.together()
                crowd.together.append(sample)
                crowd.commands.append(commands)
                crowd.alone.append(agent.alone(crowd.singles))
            yield crowd


@dataclass(frozen=True, slots=True)
class Agent:
    """The *command* of an agent, with what it is run for."""

    vhosts: Vhosts
    command: Sequence[str]
    environment: Mapping[str, str]
    stopwatch: Stopwatch

    def together(self) -> tuple[Sample, tuple[int, int]]:
        """Something new for every virtual host, in one install; with the numbers of checks and reloads."""
        for name in self.vhosts.names:
            self.vhosts.configure(name)
        sample, commands = self._timed(self.vhosts.names, [])
        return sample, (commands.count("check"), commands.count("activate"))

    def alone(self, number: int) -> Sample:
        """Something new for as many, in one run, with an install for each: their services differ by a word."""
        names = self.vhosts.names[:number]
        for name in names:
            self.vhosts.configure(name, activate=self.vhosts.counted(f"activate-{name}", self.vhosts.daemon.activate))
        sample, commands = self._timed(names, names)
        if len(commands) != 2 * number:
            raise RuntimeError(f"{number} single installs ran {len(commands)} commands")
        return sample

    def _timed(self, names: Sequence[str], words: Sequence[str]) -> tuple[Sample, list[str]]:
        """A run that installs something new for these names; with the commands that it ran."""
        self.vhosts.write(PATIENCE)
        issued = self.vhosts.offer(*names)
        self.vhosts.commands()
        sample = self.stopwatch.time([[*self.command, *words]], self.environment)
        if sample.codes != (0,) or not self._are_in_place(issued):
            raise RuntimeError(f"{type(self.vhosts).__name__}: the agent ended with {sample.codes}")
        return sample, self.vhosts.commands()

    def _are_in_place(self, issued: Mapping[str, Issued]) -> bool:
        served = self.vhosts.served(*issued)
        return all(served[name] == one.certificate for name, one in issued.items())


@contextmanager
def _nginx(folder: Path, count: int) -> Iterator[Vhosts]:
    host = _host(folder)
    nginx = Nginx(folder / "nginx", host.fullchain, host.key)
    vhosts = Vhosts(host, nginx, count)
    with nginx:
        yield vhosts


@contextmanager
def _apache(folder: Path, count: int) -> Iterator[Vhosts]:
    host = _host(folder)
    apache = Apache(folder / "apache", host.fullchain, host.key)
    vhosts = ApacheHosts(host, apache, count)
    with apache:
        yield vhosts


@contextmanager
def _haproxy(folder: Path, count: int) -> Iterator[Vhosts]:
    host = _host(folder)
    host.fullchain.unlink()  # HAProxy would load it, and it has no key
    haproxy = HaproxyOfOnePort(host.authority.issue(["localhost"]), f"crt {host.live}/")
    vhosts = HaproxyHosts(host, haproxy, count)
    with haproxy:
        yield vhosts


DAEMONS: Mapping[str, Callable[[Path, int], AbstractContextManager[Vhosts]]] = {
    "nginx": _nginx,
    "Apache": _apache,
    "HAProxy": _haproxy,
}


def _host(folder: Path) -> Host:
    host = Host(folder)
    host.make_key()
    host.put_placeholder()
    return host
