"""What a run measures, from BENCH_... in the environment: the short one by default, everything with BENCH_FULL=1."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from tests.bench.contender import Entry

PARTS = ("fast", "shipped", "far", "due", "agent", "crowd", "hosts")
FEW = ("certbot", "uacme")  # those that the aims speak of: what the short run takes for more than one certificate
USAGE = """make bench                      short: 1 and 20 certificates, about six minutes
make bench BENCH_FULL=1         everything: 1, 20, 100 certificates, every peer; up to 40 minutes
BENCH_SIZES=1,100               other numbers of certificates
BENCH_PEERS=uacme,lego          only these peers, at every size
BENCH_PARTS=fast,due            only these parts of: fast, shipped, far, due, agent, crowd, hosts
BENCH_ROUNDS=3                  as many pairs at every size
BENCH_HOSTS=500                 virtual hosts of one daemon
BENCH_AGENTS=1000               agents at once
BENCH_CERTBOT=FILE              a newer certbot's program, measured beside Debian's"""


@dataclass(frozen=True, slots=True)
class Plan:
    """One benchmark."""

    full: bool
    sizes: tuple[int, ...]
    peers: frozenset[str]
    parts: frozenset[str]
    rounds_wanted: int
    hosts: int
    agents: int

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Raises ValueError with a sentence."""
        full = environment.get("BENCH_FULL", "") not in ("", "0")
        sizes = _words(environment, "BENCH_SIZES") or (["1", "20", "100"] if full else ["1", "20"])
        parts = _words(environment, "BENCH_PARTS") or list(PARTS)
        unknown = set(parts) - set(PARTS)
        if unknown:
            raise ValueError(f"BENCH_PARTS knows no {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
        if not all(size.isdigit() and 0 < int(size) <= 999 for size in sizes):
            raise ValueError("BENCH_SIZES must be numbers from 1 to 999, separated by commas")
        rounds = environment.get("BENCH_ROUNDS", "0")
        if not rounds.isdigit():
            raise ValueError("BENCH_ROUNDS must be a number")
        hosts, agents = (
            _number(environment, *one) for one in (("BENCH_HOSTS", 500, 9999), ("BENCH_AGENTS", 1000, 1000))
        )
        peers = frozenset(_words(environment, "BENCH_PEERS"))
        numbers = tuple(sorted({int(size) for size in sizes}))
        return cls(full, numbers, peers, frozenset(parts), int(rounds), hosts, agents)

    def rounds(self, size: int) -> int:
        """How many pairs: many where a run is short."""
        return self.rounds_wanted or (1 if size > 1 else 5 if self.full else 2)

    def entries(self, everybody: Sequence[Entry], size: int, *, shipped: bool = False) -> list[Entry]:
        """Who runs; who is left out is named with the reason, so that the table says so."""
        chosen = [entry for entry in everybody if not self.peers or entry.name in self.peers]
        return [_left_out(entry, self._too_long(entry, size, shipped=shipped)) for entry in chosen]

    def _too_long(self, entry: Entry, size: int, *, shipped: bool) -> str:
        if self.peers or entry.name.startswith("certfleet") or (size == 1 and (self.full or not shipped)):
            return ""
        if shipped and size > (20 if self.full else 1):
            return "left out: one after another, each takes what one alone takes"
        if entry.name not in FEW and (shipped or not self.full):
            return (
                "left out to save time; name it in BENCH_PEERS" if self.full else "left out; BENCH_FULL=1 measures it"
            )
        return ""

    @property
    def zones(self) -> int:
        """How many sub-zones are wanted: one spare, and those that single certificates move through."""
        return max(*self.sizes, 20, 1 + self.rounds(1)) + 2

    @property
    def rows(self) -> tuple[int, ...]:
        return (1, 1000, 100_000)

    @property
    def far_orders(self) -> tuple[int, ...]:
        """Two numbers of orders for the CA that is far away: their difference tells what one more costs."""
        return (50, 100) if self.full and max(self.sizes) >= 100 else (10, 30)


def from_environment() -> Plan:
    return Plan.of(os.environ)


def _words(environment: Mapping[str, str], name: str) -> list[str]:
    return [word.strip() for word in environment.get(name, "").split(",") if word.strip()]


def _number(environment: Mapping[str, str], name: str, usual: int, most: int) -> int:
    found = environment.get(name, str(usual))
    if not found.isdigit() or not 0 < int(found) <= most:
        raise ValueError(f"{name} must be a number from 1 to {most}")
    return int(found)


def _left_out(entry: Entry, why: str) -> Entry:
    return Entry(entry.name, entry.settings, entry.make, entry.missing or why)
