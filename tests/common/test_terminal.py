"""Colours and the line of progress: on a terminal, and nowhere else."""

import fcntl
import io
import os
import pty
import struct
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from common.command_line import complain, say_coloured
from common.terminal import PROGRESS, Colour, Progress, coloured
from tests.servers.stopwatch import Stopwatch

LINES = [("NAME", Colour.HEAD), ("bad\x1b[2J", Colour.BAD), ("good", Colour.NONE)]

_MARK = "<all>"


class Terminal:
    """A terminal of forty columns, as both output streams; `text` is what was written to it."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
        self.stream = io.TextIOWrapper(os.fdopen(slave, "wb", buffering=0), write_through=True)
        self._left = ""

    def text(self) -> str:
        """All that was written since the last call."""
        self.stream.write(_MARK)
        seen = self._left
        while _MARK not in seen:
            seen += os.read(self._master, 10_000).decode()
        written, _, self._left = seen.partition(_MARK)  # progress may be told behind the mark already
        return written.replace("\r\n", "\n")

    def take(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Become both streams, in the test itself: pytest puts its own there before."""
        monkeypatch.setattr(sys, "stdout", self.stream)
        monkeypatch.setattr(sys, "stderr", self.stream)

    def close(self) -> None:
        self.stream.close()
        os.close(self._master)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    with closing(Terminal()) as made:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        yield made


def test_colours_on_a_terminal(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in a line steers nothing: only the colour around it does."""
    terminal.take(monkeypatch)
    say_coloured(LINES)
    assert terminal.text() == "\x1b[1mNAME\x1b[0m\n\x1b[31mbad\\x1b[2J\x1b[0m\ngood\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_colours_where_nobody_wants_them(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """By the convention of no-color.org, and on a terminal that knows none."""
    terminal.take(monkeypatch)
    monkeypatch.setenv(name, value)
    assert coloured(LINES) == ["NAME", "bad\\x1b[2J", "good"]


def test_no_colours_in_a_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe gets the same lines as ever, and no progress."""
    monkeypatch.setenv("TERM", "xterm")
    say_coloured(LINES)
    late = Progress()
    late._shown_at = 0
    late.tell("half")
    assert capsys.readouterr() == ("NAME\nbad\\x1b[2J\ngood\n", "")


def test_the_line_of_progress(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing for two seconds; then one line, never wider than the terminal, that gives way to other output."""
    terminal.take(monkeypatch)
    progress = Progress()
    progress.tell("too soon")
    progress.clear()
    progress._shown_at = 0
    progress.tell("")
    progress.tell("1 of 2\x1b[2J" + "x" * 50)
    progress.tell("again at once")
    assert terminal.text() == "\r\x1b[K" + ("1 of 2\\x1b[2J" + "x" * 50)[:39] + "\r"
    progress.end()
    terminal.text()
    monkeypatch.setattr(PROGRESS, "_shown_at", 0)
    PROGRESS.tell("half")
    complain("error: no")
    complain("again")
    PROGRESS.end()
    assert terminal.text() == "\r\x1b[Khalf\r\r\x1b[Kerror: no\nagain\n"


def test_one_long_step_is_told_too(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its words were too soon when it began; they come by themselves, until the end. With -q there are none."""
    terminal.take(monkeypatch)
    progress, quiet = Progress(), Progress()
    quiet.is_wanted = False
    for one in (quiet, progress):
        one._shown_at = time.monotonic() - 0.1
        one.tell("asks" if one is quiet else "looks")
    assert terminal.text() == ""
    seen = ""
    watch = Stopwatch()
    while "looks" not in seen and watch.seconds() < 10:
        time.sleep(0.05)
        seen += terminal.text()
    progress.end()
    assert terminal.text().endswith("\r\x1b[K")
    time.sleep(0.3)
    assert terminal.text() == ""
    assert "asks" not in seen
