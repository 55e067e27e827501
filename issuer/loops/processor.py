"""Which of the machine's processors a run is worked off on."""

import contextlib
import os
import random
import sys


def stay_on_one() -> None:
    """Keep this thread, and those that it begins, on one of the processors that this process may use.

    Python lets one thread act at a time. When each that gives way for the length of a system call wakes the next one on
    another processor, that costs a quarter of the time of a run with many orders (measured with 100). Any of them, by
    chance: others that are busy there are moved away by the kernel. Where that is not allowed, nothing changes.
    """
    several_at_a_time = not getattr(sys, "_is_gil_enabled", lambda: True)()
    if several_at_a_time or not hasattr(os, "sched_setaffinity"):
        return
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {random.choice(sorted(os.sched_getaffinity(0)))})
