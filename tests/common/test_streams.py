"""Standard streams as cron, ssh and shells leave them: closed, full, without a reader, in an odd encoding."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from common import late_log
from common.command_line import CommandLine, complain, say

ROOT = Path(__file__).parents[2]
SAYING = [("issuer", "--help"), ("agent", "presets")]
FULL = "error: standard output could not be written: No space left on device\n  what to do: look at free space"


def shell(package: str, word: str, redirection: str) -> "subprocess.CompletedProcess[str]":
    """One command of one of the two command lines, as a shell starts it."""
    line = f'"{sys.executable}" -m {package} {word} {redirection}'
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)


def doing(act: Callable[[], None]) -> CommandLine:
    """A command line whose one command does that."""
    line = CommandLine("program", "What it is for.", "/etc/default.toml")
    line.command("act", lambda _: act() or 0, "act")  # type: ignore[func-returns-value]
    return line


@pytest.mark.sampled
@pytest.mark.parametrize(("package", "word"), SAYING)
@pytest.mark.parametrize("redirection", [">&-", "<&- >&- 2>&-"])
def test_closed_streams(package: str, word: str, redirection: str) -> None:
    """The command works as it does with /dev/null."""
    done = shell(package, word, redirection)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("package", "word"), SAYING)
def test_a_full_disk(package: str, word: str) -> None:
    """Exit code 1, and one sentence."""
    done = shell(package, word, ">/dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith(FULL)
    assert done.stderr.count("\n") == 2


def test_a_reader_that_went_away() -> None:
    """Exit code 1, and not a word about it: `| head` means it so."""
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "agent", "presets"]
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, timeout=60, cwd=ROOT, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_log_that_cannot_be_written_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command goes on, its exit code is its own, and the log goes on when it has room again."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.set_blocking(reader, False)
    log = late_log.LateLog()

    def act() -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"." * 512)
        log.warning("while.full")
        os.read(reader, 1 << 20)  # all of it
        log.warning("once.there.is.room")

    with open(reader, "rb", buffering=0) as taken, open(writer, "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert doing(act).run(["act"]) == 0
        assert b"once.there.is.room" in (taken.read(65_536) or b"")


def test_an_encoding_that_cannot_say_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not in it is escaped."""
    out, err = io.BytesIO(), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, "ascii"))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(err, "ascii"))

    def act() -> None:
        say("имя")
        complain("нет")

    assert doing(act).run(["act"]) == 0
    assert out.getvalue() == rb"\u0438\u043c\u044f" + b"\n"
    assert err.getvalue() == rb"\u043d\u0435\u0442" + b"\n"
