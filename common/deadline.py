"""A total time limit for an exchange over a socket.

The time limit of a socket holds for each wait alone. A peer that sends a byte every second never exceeds it, and the
exchange never ends.
"""

import contextlib
import errno
import io
import math
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

_HOUR = 3600.0


class Deadline:
    """The moment *seconds* after this object was made, by a clock that nobody sets."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self._at = time.monotonic() + seconds

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._at

    def left(self) -> float:
        """The seconds until then, more than 0. Raises TimeoutError afterwards."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no answer within {self.seconds:g} s")
        return left


class Allowance:
    """The *seconds* that slow answers of one peer may take together within an hour. Without this limit, many answers,
    each before its own deadline, could hold up a command for a day. Waits side by side count once. Thread-safe."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self._lock = threading.Lock()
        self._hour, self._spent, self._counted_to = Deadline(_HOUR), 0.0, -math.inf

    @property
    def spent(self) -> bool:
        """Is nothing left of it?"""
        with self._lock:
            if self._hour.over:
                self._hour, self._spent = Deadline(_HOUR), 0.0
            return self._spent >= self.seconds

    def spend(self, seconds: float) -> None:
        """Count a wait of *seconds* that ends now."""
        with self._lock:
            now = time.monotonic()
            self._spent += now - max(now - seconds, self._counted_to)
            self._counted_to = now


class Incoming(io.RawIOBase):
    """The bytes that *connection* receives, until *deadline* and at most *most* of them. A read raises TimeoutError
    after the deadline and after the connection's own time limit for one wait, and ConnectionAbortedError once *most*
    bytes have come. The connection stays open until this stream is closed too."""

    def __init__(self, connection: socket.socket, deadline: Deadline, most: int):
        super().__init__()
        self._connection = connection
        self._source = connection.makefile("rb", buffering=0)
        self._one_wait = connection.gettimeout() or deadline.seconds
        self._deadline = deadline
        self._room = most

    def makefile(self, _mode: str = "rb") -> io.BufferedReader:
        """This stream with a buffer. http.client asks its socket for this, and for nothing else."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if not self._room:
            raise ConnectionAbortedError(errno.ECONNABORTED, "its answer has no end")
        self._connection.settimeout(min(self._deadline.left(), self._one_wait))
        count = self._source.readinto(memoryview(buffer)[: self._room])
        self._room -= count or 0
        return count

    def close(self) -> None:
        self._source.close()
        super().close()


@contextlib.contextmanager
def cut_off(connection: socket.socket, seconds: float) -> Iterator[None]:
    """For libraries that read by themselves: after *seconds* shut *connection* down; the error that this causes in the
    block becomes a TimeoutError. The shutdown is below a TLS layer, which then cannot go on in clear."""
    twin = connection.dup()  # the library may give its connection to another object, as smtplib does for STARTTLS
    over = threading.Event()

    def end() -> None:
        over.set()
        with contextlib.suppress(OSError):  # the peer has closed it
            twin.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if over.is_set():
            raise TimeoutError(f"it had not ended after {seconds:g} s") from error
        raise
    finally:
        timer.cancel()
        twin.close()
