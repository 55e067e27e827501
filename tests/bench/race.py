"""Pairs of runs: certfleet, then a peer, on the same names and servers; each from a fresh state, account included."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.bench.contender import Certfleet, Contender, Entry
from tests.bench.measure import Sample, Stopwatch
from tests.bench.scene import World

OURS = "certfleet"
SETUP_TRIES = 4
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Turn:
    """One run that issues, and the daily run after it, when nothing is due."""

    issuing: Sample
    idle: Sample


@dataclass(frozen=True, slots=True)
class Pair:
    """Two turns right after one another."""

    ours: Turn
    theirs: Turn


@dataclass(slots=True)
class Heat:
    """All runs of one size against one CA. *absent*: who did not run, and why."""

    title: str
    size: int
    pairs: dict[str, list[Pair]] = field(default_factory=dict)
    alone: list[Turn] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> list[Turn]:
        return [*self.alone, *(pair.ours for pairs in self.pairs.values() for pair in pairs)]

    def theirs(self, name: str) -> list[Turn]:
        return [pair.theirs for pair in self.pairs.get(name, [])]

    def wall_ratios(self, name: str) -> list[float]:
        """How many times certfleet's wall time a peer took, pair by pair; only where both got every certificate."""
        return [pair.theirs.issuing.wall / pair.ours.issuing.wall for pair in self._complete(name)]

    def cpu_ratios(self, name: str) -> list[float]:
        return [pair.theirs.issuing.cpu / pair.ours.issuing.cpu for pair in self._complete(name)]

    def idle_ratios(self, name: str) -> list[float]:
        return [pair.theirs.idle.cpu / pair.ours.idle.cpu for pair in self._complete(name)]

    def _complete(self, name: str) -> Iterator[Pair]:
        for pair in self.pairs.get(name, []):
            if pair.ours.issuing.complete and pair.theirs.issuing.complete:
                yield pair


class Course:
    """Where heats are run: one CA, one stopwatch, a folder for everybody's state."""

    def __init__(self, folder: Path, world: World, names: Sequence[str], stopwatch: Stopwatch) -> None:
        self._folder = folder
        self._world = world
        self._names = names
        self._stopwatch = stopwatch

    def run(self, title: str, size: int, peers: Sequence[Entry], rounds: int) -> Heat:
        """*rounds* pairs with each peer that can run; certfleet alone where there is none."""
        heat = Heat(title, size)
        heat.absent = {entry.name: entry.missing for entry in peers if entry.missing}
        for number in range(rounds):
            names = self._names[1 + number :][:size] if size == 1 else self._names[1 : 1 + size]
            for entry in peers:
                if entry.name not in heat.absent:
                    self._pair(heat, entry, names, peer_first=bool(number % 2))
            if not heat.pairs:
                heat.alone.append(self._turn(OURS_ENTRY, names))
        return heat

    def _pair(self, heat: Heat, entry: Entry, names: Sequence[str], *, peer_first: bool) -> None:
        theirs: Turn | None = None
        try:
            theirs = self._turn(entry, names) if peer_first else None
            ours = self._turn(OURS_ENTRY, names)
            theirs = theirs or self._turn(entry, names)
        except SetupFailed as error:
            heat.absent[entry.name] = str(error)
            return
        heat.pairs.setdefault(entry.name, []).append(Pair(ours, theirs))

    def _turn(self, entry: Entry, names: Sequence[str]) -> Turn:
        contender = self.enter(entry, names)
        issuing = self.time(contender, names)
        idle = self._stopwatch.time(contender.nothing_due(names), contender.environment)
        return Turn(issuing, idle)

    def enter(self, entry: Entry, names: Sequence[str]) -> Contender:
        """A contender with a fresh state. Tried again: registering is not measured, and a nonce may be refused."""
        for tries_left in reversed(range(SETUP_TRIES)):
            folder = self._folder / f"{next(_numbers):03d}-{entry.name.replace(' ', '-')}"
            try:
                return entry.make(folder, self._world, names)
            except (RuntimeError, OSError) as error:
                if not tries_left:
                    raise SetupFailed(" ".join(str(error).split())[-160:]) from error
        raise RuntimeError("not reached")

    def time(self, contender: Contender, names: Sequence[str]) -> Sample:
        """Issue *names*, then count what is really there."""
        sample = self._stopwatch.time(contender.issue(names), contender.environment)
        return replace(sample, wanted=len(names), done=contender.held())


class SetupFailed(RuntimeError):
    """A contender could not be set up; the text is the end of what it said."""


OURS_ENTRY = Entry(OURS, "SQLite, its defaults", Certfleet)
