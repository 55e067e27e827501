"""What issue and design promise about speed, beside what this run has found."""

import statistics
from collections.abc import Mapping, Sequence

from tests.bench.agents import Days
from tests.bench.crowd import Crowd
from tests.bench.far import Trip
from tests.bench.hosts import Crowd as VirtualHosts
from tests.bench.measure import Sample, seconds, spread, times
from tests.bench.nothing_due import Idle
from tests.bench.race import Heat
from tests.bench.tables import Aim

LATE = 1.5  # times the slowest validation: "little more"
SLACK = 1.3  # times the bound of the workers
FLAT = 1.2  # times the smallest table
TOGETHER = 50  # times faster than one after another


def of_heats(heats: Mapping[int, Heat]) -> list[Aim]:
    """Ratios against the peers, with the fast Pebble."""
    many = "100 sub-zones"
    return [
        _ratio(heats.get(100), "uacme", f"{many}, wall: uacme ÷ certfleet", 15),
        _ratio(heats.get(100), "certbot", f"{many}, wall: certbot ÷ certfleet", 60),
        _ratio(heats.get(100), "certbot", f"{many}, CPU: certbot ÷ certfleet", 8, cpu=True),
        _ratio(heats.get(1), "certbot", "one certificate, wall: certbot ÷ certfleet", 3),
        _ratio(heats.get(1), "uacme", "one certificate, wall: uacme ÷ certfleet", 1),
    ]


def of_shipped(heat: Heat | None, slowest: float) -> Aim:
    """Pebble as shipped: the waits overlap."""
    what, wanted = "100 certificates, Pebble as shipped, wall", f"≤ {LATE}x the slowest validation"
    if heat is None:
        return Aim(what, wanted, "not measured", None)
    walls = [turn.issuing.wall for turn in heat.ours]
    got = f"{spread(walls, seconds)} s, slowest {slowest:.0f} s"
    return Aim(what, wanted, got, statistics.median(walls) <= LATE * slowest)


def of_trips(trips: Sequence[Trip]) -> list[Aim]:
    """100 ms late: bound by the workers. What one more order costs, so that start-up does not count."""
    aims = []
    for workers in sorted({trip.workers for trip in trips}):
        few, *_, many = sorted((one for one in trips if one.workers == workers), key=lambda one: one.orders)
        more = many.orders - few.orders
        over = (many.sample.wall - few.sample.wall) / (many.bound - few.bound)
        cpu = (many.sample.cpu - few.sample.cpu) / (many.bound - few.bound)
        what = f"{more} more orders, CA 100 ms away, {workers} workers, wall ÷ what they can do"
        got = f"{times(over)} ({times(cpu)} of it CPU); one after another: {times(workers)}"
        aims.append(Aim(what, f"≤ {SLACK}x", got, over <= SLACK))
    return aims


def of_idle(idle: Idle) -> list[Aim]:
    """The pass with nothing due does not grow with the table."""
    rows = max(idle.samples)
    ratios = idle.ratios(rows, cpu=True)
    what = f"nothing due, {idle.engine}, CPU: {rows:,} rows ÷ {min(idle.samples)}"
    flat = Aim(what, f"≤ {FLAT}x", spread(ratios, times), statistics.median(ratios) <= FLAT)
    scans = f"{len(idle.scans)} of {len(idle.plans)} queries read all" if idle.scans else "by index"
    return [flat, Aim(f"nothing due, {idle.engine}: EXPLAIN", "by index", scans, not idle.scans)]


def of_days(days: Days) -> list[Aim]:
    """The agent's day without news costs a quarter of certbot's time and half of its memory."""
    found = []
    for count in (1, 100):
        for what, wanted, take in (("CPU", 0.25, _cpu), ("peak memory", 0.5, _memory)):
            for program in ("certfleet-agent, SQLite", "certfleet-agent, MariaDB"):
                ratios = days.ratios(program, count, take)
                label = f"nothing new, {count} certificates, {what}: {program} ÷ certbot"
                met = statistics.median(ratios) <= wanted if ratios else None
                found.append(Aim(label, f"≤ {wanted}x", spread(ratios, times) if ratios else "not measured", met))
    return found


def of_crowd(crowd: Crowd) -> Aim:
    """However many come at once: each is served, and what it tells is taken, in the same run."""
    got = f"{crowd.failed} failed, {crowd.unsent} reports not taken"
    return Aim(f"{crowd.agents:,} agents at once, {crowd.what}", "none failed", got, not crowd.failed + crowd.unsent)


def of_virtual_hosts(crowd: VirtualHosts) -> list[Aim]:
    """All virtual hosts of a daemon by one check and one reload, in a fiftieth of the time of single installs."""
    what = f"{crowd.count} virtual hosts of one {crowd.daemon}"
    told = sorted(set(crowd.commands))
    counted = Aim(f"{what}: checks, reloads", "1, 1", "; ".join(f"{a}, {b}" for a, b in told), told == [(1, 1)])
    label = f"{what}, wall: single installs (projected from {crowd.singles}) ÷ one run"
    met = statistics.median(crowd.ratios()) >= TOGETHER
    return [counted, Aim(label, f"≥ {TOGETHER}x", spread(crowd.ratios(), times), met)]


def _cpu(sample: Sample) -> float:
    return sample.cpu


def _memory(sample: Sample) -> float:
    return sample.megabytes


def _ratio(heat: Heat | None, peer: str, what: str, wanted: float, *, cpu: bool = False) -> Aim:
    ratios = [] if heat is None else heat.cpu_ratios(peer) if cpu else heat.wall_ratios(peer)
    if not ratios:
        return Aim(what, f"≥ {wanted:g}x", "not measured", None)
    return Aim(what, f"≥ {wanted:g}x", spread(ratios, times), statistics.median(ratios) >= wanted)
