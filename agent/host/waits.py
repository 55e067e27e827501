"""Waiting for others: not beyond a deadline, and not after a request to stop.

A peer may send a byte a second, a resolver may keep a call inside libc, a database may compute without end. So whatever
waits does it on a thread that dies with the process, and the run waits for that thread only as long as it wants to.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import FrameType
from typing import Generic, TypeVar

from agent.model.errors import Stopped
from common.deadline import Deadline

T = TypeVar("T")
Item = TypeVar("Item")
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_UP = 0.1  # seconds between two looks whether somebody asked for the end


class Waits:
    """The waits of one run, all of them on its main thread."""

    def __init__(self) -> None:
        self._asked = False
        self._unbroken = 0

    @contextlib.contextmanager
    def heeding_signals(self) -> Iterator[None]:
        """While the block runs, a signal to stop ends the present wait, or the next one."""

        def note(_number: int, _frame: FrameType | None) -> None:
            self._asked = True

        before = {number: signal.signal(number, note) for number in _STOPPING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def unbroken(self) -> Iterator[None]:
        """While the block runs, a request to stop is only noted: half an install is worse than a late end."""
        self._unbroken += 1
        try:
            yield
        finally:
            self._unbroken -= 1

    @property
    def stop_asked(self) -> bool:
        return self._asked

    def go_on(self) -> None:
        """Raises Stopped after a request to stop, unless it has to wait."""
        if self._asked and not self._unbroken:
            raise Stopped

    def until(self, deadline: Deadline, has_ended: Callable[[float], bool]) -> None:
        """Wait until *has_ended* says so, which gets the seconds for which it may wait itself. Raises TimeoutError and
        Stopped."""
        while True:
            self.go_on()
            if has_ended(min(_LOOK_UP, deadline.left())):
                return

    def within(self, seconds: float, work: Callable[[], T]) -> T:
        """The result or the error of *work*, begun on a thread. Raises TimeoutError and Stopped: *work* may go on then,
        and its result is lost."""
        (found,) = self.each_within(seconds, lambda _: work(), [None])
        return result(found)

    def each_within(self, seconds: float, work: Callable[[Item], T], items: Iterable[Item]) -> list[T | BaseException]:
        """The result or the error of *work* for each of *items*, all at once; TimeoutError for one that had not
        ended after *seconds*. Raises Stopped."""
        deadline, outs = Deadline(seconds), [_Work(partial(work, item)) for item in items]
        for out in outs:
            with contextlib.suppress(TimeoutError):
                self.until(deadline, out.has_ended)
        return [out.outcome(seconds) for out in outs]


def result(found: T | BaseException) -> T:
    """*found*, which `each_within` returned for one item. Raises it if it is an error."""
    if isinstance(found, BaseException):
        raise found
    return found


class _Work(Generic[T]):
    """A call on a thread of its own."""

    def __init__(self, work: Callable[[], T]):
        self._work = work
        self._found: list[T | BaseException] = []
        self._done = threading.Event()
        threading.Thread(target=self._do, daemon=True).start()

    def _do(self) -> None:
        try:
            self._found.append(self._work())
        except BaseException as error:  # noqa: BLE001 - the run meets it where it asks for the result
            self._found.append(error)
        self._done.set()

    def has_ended(self, seconds: float) -> bool:
        return self._done.wait(seconds)

    def outcome(self, seconds: float) -> T | BaseException:
        return self._found[0] if self._done.is_set() else TimeoutError(f"no answer within {seconds:g} s")
