"""A CA whose every answer is 100 ms late: is a run bound by its workers, or does each order add its whole journey?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.contender import Certfleet
from tests.bench.measure import Sample, Stopwatch, seconds, times
from tests.bench.scene import DELAY, Scene
from tests.bench.tables import table

HEAD = (
    "orders",
    "workers",
    "requests",
    "wall s",
    "CPU s",
    "peak MB",
    "bound s",
    "wall ÷ bound",
    "issued",
)


@dataclass(frozen=True, slots=True)
class Trip:
    """One run. *requests* as Pebble counted them."""

    orders: int
    workers: int
    requests: int
    sample: Sample
    issued: int

    @property
    def bound(self) -> float:
        """Seconds that so many requests take when every worker always has one under way."""
        return self.requests * DELAY / self.workers

    @property
    def over(self) -> float:
        """How far the run is from that bound; 1 is on it."""
        return self.sample.wall / self.bound

    def row(self) -> list[str]:
        sample = self.sample
        return [
            str(self.orders), str(self.workers), str(self.requests), seconds(sample.wall), seconds(sample.cpu),
            f"{sample.megabytes:.0f}", seconds(self.bound), times(self.over), f"{self.issued} of {self.orders}",
        ]  # fmt: skip


def travel(
    scene: Scene, folder: Path, stopwatch: Stopwatch, orders: Sequence[int], workers: Sequence[int]
) -> list[Trip]:
    """Every number of orders with every number of workers, from a fresh state each."""
    world = scene.world(scene.fast, port=scene.relay.port)
    trips = []
    for crew in workers:
        for count in orders:
            names = scene.names[1 : count + 1]
            issuer = Certfleet(folder / f"far-{crew}-{count}", world, names, workers=crew)
            before = scene.requests()
            sample = stopwatch.time(issuer.issue(names), issuer.environment)
            trips.append(Trip(count, crew, scene.requests() - before, sample, issuer.held()))
    return trips


def far_table(trips: Sequence[Trip]) -> str:
    """All trips."""
    title = f"certfleet, every answer of the CA {DELAY * 1000:.0f} ms late; bound = requests * delay ÷ workers"
    return f"{title}\n{table(HEAD, [trip.row() for trip in trips])}\n"
