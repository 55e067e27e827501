"""A cache with a time to live, so that a run looks a thing up once and a daemon learns of changes."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class TtlCache(Generic[Key, Value]):
    """Thread-safe. Two keys are looked up side by side; a second thread that asks for the same key waits for the first.
    *seconds*: how long a value is kept."""

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._known: dict[Key, tuple[float, Value]] = {}
        self._busy: dict[Key, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Key, look_up: Callable[[], Value], keep: Callable[[Value], object] = bool) -> Value:
        """The known value of *key*, else the result of *look_up*. Errors are not kept, nor values that *keep* denies:
        the empty ones as a rule."""
        with self._lock:
            busy = self._busy.setdefault(key, threading.Lock())
        with busy:
            until, value = self._known.get(key, (0.0, None))
            if value is not None and time.monotonic() < until:
                return value
            value = look_up()
            if keep(value):
                self._known[key] = (time.monotonic() + self._seconds, value)
            return value
