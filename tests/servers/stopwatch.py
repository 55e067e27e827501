"""How long something took, without the time in which this machine let others run: a busy machine is no finding."""

import os
import time
from multiprocessing.connection import wait  # by poll: select() ends at descriptor 1024
from pathlib import Path


class Stopwatch:
    """It runs from the start. *process*: whose main thread is what others may keep from running; without it the thread
    that asks."""

    def __init__(self, process: int | None = None) -> None:
        self._statistics = Path(f"/proc/{process}/schedstat" if process else "/proc/thread-self/schedstat")
        self._kept = self._kept_from_running()
        self._began = time.monotonic()

    def seconds(self) -> float:
        """Until now. A process that has ended can be asked for until somebody has waited for it."""
        return time.monotonic() - self._began - (self._kept_from_running() - self._kept)

    def _kept_from_running(self) -> float:
        """The seconds for which it was ready and the processors were busy with others: the second number of the line,
        in nanoseconds."""
        return int(self._statistics.read_text(encoding="ascii").split()[1]) / 1e9


def wait_ended(process: int, seconds: float) -> bool:
    """Whether a child ends in that time. It is left for its parent to wait for, and what it has printed is to be short:
    nobody reads that meanwhile."""
    descriptor = os.pidfd_open(process)
    try:
        return bool(wait([descriptor], seconds))
    finally:
        os.close(descriptor)
