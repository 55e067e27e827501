"""What was found out, kept for a while, so that a run finds it out once and a daemon learns of changes."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class TtlCache(Generic[Key, Value]):
    """Thread-safe. Two keys are looked up side by side; who asks for one that is being looked up waits for it.

    *seconds*: how long a value is kept.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._known: dict[Key, tuple[float, Value]] = {}
        self._busy: dict[Key, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Key, look_up: Callable[[], Value]) -> Value:
        """What is known of *key*, else what *look_up* finds. Errors and empty values are not kept."""
        with self._lock:
            busy = self._busy.setdefault(key, threading.Lock())
        with busy:
            until, value = self._known.get(key, (0.0, None))
            if value is not None and time.monotonic() < until:
                return value
            value = look_up()
            if value:
                self._known[key] = (time.monotonic() + self._seconds, value)
            return value
