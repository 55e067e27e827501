"""The one line and the exit code of a monitoring plugin, as Nagios, Icinga, Naemon and Checkmk take them (Monitoring
Plugins Development Guidelines, §2). Pure.
"""

import re
from collections.abc import Iterable, Sequence
from enum import IntEnum

from common.dataclasses import dataclass
from common.text import one_line


class State(IntEnum):
    """The states, by their exit codes."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_WORST_FIRST = (State.CRITICAL, State.WARNING, State.UNKNOWN, State.OK)


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of the performance data. *unit*: "s", "%", "B", "c", or "" for a plain number; *warning* and
    *critical*: ranges as in "10:" (below 10 is bad), "" for none."""

    label: str
    value: float
    unit: str = ""
    warning: str = ""
    critical: str = ""

    def __str__(self) -> str:
        label = re.sub("[='|]", ":", one_line(self.label))  # §2.6: no = and no quote; a | begins the data
        ranges = f";{self.warning};{self.critical}".rstrip(";")
        return f"'{label}'={self.value:.6g}{self.unit}{ranges}"


def worst(states: Iterable[State]) -> State:
    """The one that decides; OK for none. A fault that is known comes before what is not known."""
    found = set(states)
    return next((state for state in _WORST_FIRST if state in found), State.OK)


def line(service: str, state: State, text: str, metrics: Sequence[Metric] = ()) -> str:
    """As in "PROBE OK - 3 addresses | 'days'=60;10:". Neither line ends nor | of *text* end it."""
    said = f"{service.upper()} {state.name} - {one_line(text).replace('|', '/')}"
    return f"{said} | {' '.join(map(str, metrics))}" if metrics else said
