"""What a run costs, and how several runs are told: the median with the lowest and the highest."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.servers.process import program

Command = Sequence[str]
STOPWATCH = Path(__file__).with_name("stopwatch.py")
LIMIT = 900.0  # seconds that one command may take


@dataclass(frozen=True, slots=True)
class Sample:
    """Whole processes with all their children: wall and CPU time in seconds, the largest resident set in MB.

    *wanted* and *done* count certificates; what was not done cost time all the same.
    """

    wall: float
    cpu: float
    megabytes: float
    codes: tuple[int, ...]
    wanted: int = 1
    done: int = 1

    @property
    def complete(self) -> bool:
        return self.done >= self.wanted


class Stopwatch:
    """Runs commands and measures them, outside this process."""

    def __init__(self, log: Path) -> None:
        self._log = log
        setpriv = [program("setpriv", "util-linux"), "--pdeathsig", "TERM", "--"]
        self._child = subprocess.Popen(
            [*setpriv, sys.executable, "-I", "-S", str(STOPWATCH)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._child.terminate()
        self._child.communicate()

    def time(self, commands: Sequence[Command], environment: Mapping[str, str] | None = None) -> Sample:
        """Run *commands* one after another; all output goes to the log."""
        request = {
            "commands": [list(command) for command in commands],
            "environment": dict(os.environ if environment is None else environment),
            "log": str(self._log),
            "limit": LIMIT,
        }
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(request) + "\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError("the stopwatch has ended by itself")
        answer = json.loads(line)
        return Sample(answer["wall"], answer["cpu"], answer["kilobytes"] / 1024, tuple(answer["codes"]))


def spread(values: Sequence[float], form: Callable[[float], str]) -> str:
    """Median, and lowest to highest where there are several."""
    if not values:
        return "—"
    middle = form(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({form(min(values))}-{form(max(values))})"


def seconds(value: float) -> str:
    """Three figures that mean something."""
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def times(value: float) -> str:
    """A ratio."""
    return f"{value:.2f}x" if value < 10 else f"{value:.1f}x"


def megabytes(value: float) -> str:
    return f"{value:.0f}"
