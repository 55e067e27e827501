"""SIGTERM and Ctrl-C while orders are in hand: the end comes within seconds, whichever server is silent.

What is tidied up is for the loops, which are told to stop; what is left is for the next run, which goes on from there.
"""

import signal
import time
from collections.abc import Callable
from concurrent.futures import wait
from types import FrameType

from common.command_line import complain
from issuer.ground.threads import on_thread

_SAME_SECONDS = 0.5  # `timeout` and others send a signal to the process and once more to its group
_LONGEST_SECONDS = 3.5
_LOOK_SECONDS = 0.2  # a handler runs when the main thread looks: a signal that another thread takes does not wake it


def on_request(stop: Callable[[], None]) -> Callable[[], float]:
    """Let the first SIGTERM or SIGINT call *stop*. Another one ends the process at once, as kill -9 would.

    The function returned tells how many seconds ago the first one came; 0 when there was none.
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


def finish(work: Callable[[], None], stop: Callable[[], None]) -> None:
    """Do *work* and raise what it raises. After *stop* it has some seconds to come back, then it is left: all of it is
    of the kind that a kill may cut short."""
    since = on_request(stop)
    done = on_thread(work)
    while since() < _LONGEST_SECONDS:
        if wait([done], _LOOK_SECONDS).done:
            done.result()
            return
    complain("stopped while a server was silent; the next run goes on from there")
