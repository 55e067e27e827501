"""Answers kept for five minutes, so that a run asks once and a daemon learns of changes."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
_KEEP_SECONDS = 300


class Kept(Generic[T]):
    """Thread-safe. Two names are looked up side by side; who asks for one that is being looked up waits for it."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, T]] = {}
        self._busy: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, name: str, look_up: Callable[[], T]) -> T:
        """What is known of *name*, else what *look_up* finds. Errors and empty answers are not kept."""
        with self._lock:
            busy = self._busy.setdefault(name, threading.Lock())
        with busy:
            until, value = self._known.get(name, (0.0, None))
            if value is not None and time.monotonic() < until:
                return value
            value = look_up()
            if value:
                self._known[name] = (time.monotonic() + _KEEP_SECONDS, value)
            return value
