"""The standard streams as cron, ssh, shells and full disks leave them, made fit for a command.

A command changes the world. A missing reader or a full disk must never stop it half-way: no write and no log raises,
and the loss is known at the end.
"""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast


class Steady:
    """A text stream whose `write` and `flush` never raise; everything else is that of *stream*. *lost* is the first
    reason why something could not be written. Each write is tried all the same: a disk gets room again, and a daemon's
    log goes on."""

    def __init__(self, stream: TextIO):
        self._stream = stream
        self.lost: OSError | ValueError | None = None

    def write(self, text: str) -> int:
        with self._noted():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._noted():
            self._stream.flush()

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # ValueError: it is closed already
            self.lost = self.lost or error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def steady_streams() -> Iterator[Steady]:
    """The three standard streams for the life of a command. Gives standard output, which knows what was lost. A closed
    stream becomes /dev/null, so that no file opened later takes its number. Characters outside the encoding are
    escaped."""
    stdin, stdout, stderr = sys.stdin, sys.stdout, sys.stderr
    with contextlib.ExitStack() as opened:
        sys.stdin = stdin or opened.enter_context(open(os.devnull, encoding="utf-8"))
        out, err = (
            Steady(_escaping(stream or opened.enter_context(open(os.devnull, "w", encoding="utf-8"))))
            for stream in (stdout, stderr)
        )
        sys.stdout, sys.stderr = cast("TextIO", out), cast("TextIO", err)
        try:
            yield out
        finally:
            out.flush()
            err.flush()
            sys.stdin = stdin
            # the lost bytes may still be in a buffer, which Python flushes at its end: that needs the steady stream
            sys.stdout = sys.stdout if out.lost else stdout
            sys.stderr = sys.stderr if err.lost else stderr


def _escaping(stream: TextIO) -> TextIO:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream
