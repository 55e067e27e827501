"""Work on threads that die with the process, because a server may accept a connection and stay silent for hours.

The threads of concurrent.futures would keep the process alive until the slowest of those servers is given up. Work here
may stop at any instruction, as by a kill; state that must outlive it is saved before.
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
Item = TypeVar("Item")


def on_thread(work: Callable[[], T]) -> "Future[T]":
    """Begin *work* on a thread of its own."""
    out: Future[T] = Future()
    threading.Thread(target=_fulfil, args=(out, work), daemon=True).start()
    return out


def each_on_thread(work: Callable[[Item], T], items: Iterable[Item], at_once: int) -> "list[Future[T]]":
    """Begin *work* for every item, at most *at_once* together. The futures are in the order of the items."""
    outs: list[tuple[Item, Future[T]]] = [(item, Future()) for item in items]
    waiting: SimpleQueue[tuple[Item, Future[T]] | None] = SimpleQueue()
    workers = min(at_once, len(outs))
    for each in [*outs, *[None] * workers]:
        waiting.put(each)

    def work_off() -> None:
        while (each := waiting.get()) is not None:
            item, out = each
            _fulfil(out, partial(work, item))

    for _ in range(workers):
        threading.Thread(target=work_off, daemon=True).start()
    return [out for _, out in outs]


def each_within(
    work: Callable[[Item], T], items: Iterable[Item], at_once: int, seconds: float, late: Callable[[Item], T]
) -> list[T]:
    """The result of *work* for every item, at most *at_once* together; of one that had not ended after *seconds*, that
    of *late*. Resolvers and disks know no deadline, so such a thread is left behind."""
    asked = list(items)
    outs = each_on_thread(work, asked, at_once)
    wait(outs, seconds)
    return [out.result() if out.done() else late(item) for item, out in zip(asked, outs, strict=True)]


def _fulfil(out: "Future[T]", work: Callable[[], T]) -> None:
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - raised again by whoever asks for the result
        out.set_exception(error)
        del out  # the error refers to this frame, whose objects would stay open until a garbage collection
    else:
        out.set_result(result)
