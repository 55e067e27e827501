"""SIGTERM and Ctrl-C while orders are under way: the process ends within seconds, even if a server is silent.

The loops tidy up when they are told to stop. The next run goes on with the rest.
"""

import signal
import time
from collections.abc import Callable
from concurrent.futures import wait
from types import FrameType

from common.command_line import complain
from common.terminal import PROGRESS
from common.threads import on_thread

_SAME_SECONDS = 0.5  # `timeout` and others send a signal twice: to the process and to its group
_LONGEST_SECONDS = 3.5
_LOOK_SECONDS = 0.2  # the handler waits for the main thread, and a signal that another thread takes does not wake that


def on_request(stop: Callable[[], None]) -> Callable[[], float]:
    """Let the first SIGTERM or SIGINT call *stop*. The second one ends the process at once, as kill -9 would.

    Returns a function that gives the seconds since the first signal, 0 before it.
    """
    asked_at: list[float] = []

    def since() -> float:
        return time.monotonic() - asked_at[0] if asked_at else 0.0

    def hear(number: int, _frame: FrameType | None) -> None:
        if not asked_at:
            asked_at.append(time.monotonic())
            stop()
        elif since() > _SAME_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, hear)
    return since


def finish(work: Callable[[], None], stop: Callable[[], None], progress: Callable[[], str] = str) -> None:
    """Do *work* on a thread and raise its errors. *progress* says how far it is, for a terminal. After *stop*, *work*
    has _LONGEST_SECONDS to return. Then this function leaves it unfinished at any instruction, as a kill would."""
    since = on_request(stop)
    done = on_thread(work)
    while since() < _LONGEST_SECONDS:
        if wait([done], _LOOK_SECONDS).done:
            done.result()
            return
        PROGRESS.tell(progress())
    complain("stopped while a server was silent; the next run goes on from there")
