"""Output that a command makes on a terminal alone: colours, and one line that says how far it is.

A file, a pipe, cron and systemd's journal get neither, nor does who sets NO_COLOR (https://no-color.org) get colours.
"""

import os
import sys
import threading
import time
from collections.abc import Iterable
from enum import Enum
from typing import TextIO

from common.text import one_line

_PATIENCE = 2.0  # seconds for which nobody wants to know how far it is
_EVERY = 0.2  # seconds between two changes of the line
_CLEAR, _PLAIN = "\r\x1b[K", "\x1b[0m"


class Colour(Enum):
    """The escape sequence, of ECMA-48 §8.3.117, that begins it."""

    NONE = ""
    HEAD = "\x1b[1m"
    BAD = "\x1b[31m"
    QUIET = "\x1b[2m"


def coloured(lines: Iterable[tuple[str, Colour]]) -> list[str]:
    """The *lines* for standard output, each as `say` shows it, in its colour where that is a terminal."""
    plain = not _is_terminal(sys.stdout) or bool(os.environ.get("NO_COLOR"))
    shown = [(one_line(line), Colour.NONE if plain else colour) for line, colour in lines]
    return [f"{colour.value}{line}{_PLAIN}" if colour.value else line for line, colour in shown]


class Progress:
    """One line on standard error where that is a terminal, from two seconds after its making on. Thread-safe."""

    def __init__(self) -> None:
        self._shown_at = time.monotonic() + _PATIENCE - _EVERY
        self._is_shown = False
        self._words = ""
        self._lock = threading.Lock()
        self._ticks = False
        self.is_wanted = True

    def tell(self, words: str) -> None:
        """Show *words* in place of those before, now or once it is time, however long the next step takes. Cheap enough
        for each of many things."""
        self._words = words if self.is_wanted else ""
        if not self._ticks and self._words and _is_terminal(sys.stderr):
            self._ticks = True
            threading.Thread(target=self._tick, daemon=True).start()
        self._show()

    def clear(self) -> None:
        """Make room for other output."""
        with self._lock:
            if self._is_shown:
                self._is_shown = False
                sys.stderr.write(_CLEAR)
                sys.stderr.flush()

    def end(self) -> None:
        """Nothing is under way any more."""
        self._words = ""
        self.clear()

    def _tick(self) -> None:
        while self._words:
            time.sleep(_EVERY)
            self._show()
        self._ticks = False

    def _show(self) -> None:
        """The cursor goes back to the begin of the line: a line of the log comes over it."""
        with self._lock:
            now, words = time.monotonic(), self._words
            if words and now >= self._shown_at + _EVERY and _is_terminal(sys.stderr):
                self._shown_at, self._is_shown = now, True
                width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
                sys.stderr.write(f"{_CLEAR}{one_line(words)[: max(width - 1, 1)]}\r")
                sys.stderr.flush()


PROGRESS = Progress()
"""That of this command: `say` and `complain` clear it, and the end of the command ends it."""


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    except ValueError:  # it is closed
        return False
