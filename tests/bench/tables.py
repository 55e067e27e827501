"""What the benchmark prints: plain tables, ratios first. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench.measure import Sample, megabytes, seconds, spread, times
from tests.bench.race import OURS, Heat, Turn

HEAT_HEAD = (
    "client", "issued", "wall ratio", "CPU ratio", "wall s/cert", "CPU s/cert", "peak MB", "idle CPU s", "idle ratio",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Aim:
    """One promise: what was aimed at, what came out, whether that is enough. None: this run did not measure it."""

    what: str
    wanted: str
    got: str
    met: bool | None

    def row(self) -> Sequence[str]:
        return [self.what, self.wanted, self.got, "—" if self.met is None else "yes" if self.met else "NO"]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first to the left, the rest to the right."""
    widths = [
        max(len(row[column]) for row in [head, *rows] if not column or len(row) == len(head))
        for column in range(len(head))
    ]

    def line(row: Sequence[str]) -> str:
        if len(row) < len(head):  # who is absent, and why
            return f"  {row[0]:<{widths[0]}}  {' '.join(row[1:])}"
        cells = [
            f"{row[0]:<{widths[0]}}",
            *(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        return "  " + "  ".join(cells)

    return "\n".join([line(head), "  " + "─" * (sum(widths) + 2 * (len(widths) - 1)), *map(line, rows)])


def heat_table(heat: Heat) -> str:
    """One heat: certfleet is 1, a peer's ratio is how many times as much it took in the run beside ours."""
    rows: list[Sequence[str]] = [[OURS, *_issued(heat.ours), "1", "1", *_costs(heat, heat.ours), "1"]]
    for name in heat.pairs:
        turns = heat.theirs(name)
        ratios = [spread(values, times) for values in (heat.wall_ratios(name), heat.cpu_ratios(name))]
        rows.append([name, *_issued(turns), *ratios, *_costs(heat, turns), spread(heat.idle_ratios(name), times)])
    rows += [[name, why] for name, why in heat.absent.items()]
    return f"{heat.title}\n{table(HEAT_HEAD, rows)}\n"


def _issued(turns: Sequence[Turn]) -> list[str]:
    return [f"{sum(turn.issuing.done for turn in turns)} of {sum(turn.issuing.wanted for turn in turns)}"]


def _costs(heat: Heat, turns: Sequence[Turn]) -> list[str]:
    issuing = [turn.issuing for turn in turns]
    return [
        spread([sample.wall / heat.size for sample in issuing], seconds),
        spread([sample.cpu / heat.size for sample in issuing], seconds),
        spread([max(turn.issuing.megabytes, turn.idle.megabytes) for turn in turns], megabytes),
        spread([turn.idle.cpu for turn in turns], seconds),
    ]


def sample_cells(samples: Sequence[Sample]) -> list[str]:
    """Wall, CPU and memory of runs that are not counted by certificate."""
    takes: list[tuple[Callable[[Sample], float], Callable[[float], str]]] = [
        (lambda sample: sample.wall, seconds),
        (lambda sample: sample.cpu, seconds),
        (lambda sample: sample.megabytes, megabytes),
    ]
    return [spread([take(sample) for sample in samples], form) for take, form in takes]


def aims_table(aims: Sequence[Aim]) -> str:
    """The promises beside what came out."""
    return "Aims\n" + table(("what", "aim", "got", "met"), [aim.row() for aim in aims]) + "\n"
