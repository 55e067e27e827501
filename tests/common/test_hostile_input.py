"""What a full disk, a pipe in place of a file, and bytes that steer a terminal do: nothing but a sentence."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from common.command_line import CommandLine, complain, say, table
from common.config_file import load
from common.errors import ConfigError, FileError, RefusedError, render
from common.files import LARGEST_DOCUMENT, LARGEST_READ, create_new, read_password, read_regular, read_secret

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Empty:
    """Settings without a key."""


def test_a_new_file_is_whole_or_not_there(tmp_path: Path) -> None:
    """A disk that is full leaves neither an empty file in the way of the next attempt nor a temporary."""
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from common.files import create_new; from common.errors import FileError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "try:\n    create_new(Path(sys.argv[1]), b'x' * 50, mode=0o600)\n"
        "except FileError as error:\n    sys.exit(7)\n"
    )
    file = tmp_path / "key"
    command = [sys.executable, "-B", "-c", script, str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 7, done.stderr
    assert list(tmp_path.iterdir()) == []
    create_new(file, b"key", mode=0o600)
    with pytest.raises(FileError, match="exists already"):
        create_new(file, b"other", mode=0o600)
    assert [(each.name, each.read_bytes(), each.stat().st_nlink) for each in tmp_path.iterdir()] == [("key", b"key", 1)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \r\n\n", "is empty"),
        (b"one\ntwo\n", "more than one line"),
        (b"a\0b", "control characters"),
        (b"secret\xff", "is not UTF-8"),
    ],
)
def test_a_file_without_a_password(tmp_path: Path, content: bytes, says: str) -> None:
    """It is the configuration that is wrong; what stands in the file is never repeated."""
    file = tmp_path / "password"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(ConfigError, match=says) as caught:
        read_password(file)
    assert not any(word in line for line in render(caught.value) for word in ("one\\n", "two", "secret"))
    file.write_bytes(b"  of two words\r\n")
    assert read_password(file) == "of two words"


READERS: list[tuple[Callable[[Path], object], type[Exception], int]] = [
    (read_regular, OSError, LARGEST_READ),
    (read_secret, ConfigError, LARGEST_READ),
    (lambda file: load(Empty, file), ConfigError, LARGEST_DOCUMENT),
]


@pytest.mark.parametrize(("read", "error", "most"), READERS)
def test_what_is_no_regular_file_is_refused_at_once(
    tmp_path: Path, read: Callable[[Path], object], error: type[Exception], most: int
) -> None:
    """A pipe without a writer, a device without an end, a folder, a file without measure."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    for file in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(error, match="not a regular file"):
            read(file)
    large = tmp_path / "large"
    large.touch(0o600)
    os.truncate(large, most + 1)
    with pytest.raises(error, match=f"larger than {most} bytes"):
        read(large)


def test_nothing_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Escapes of a certificate, a command or the database are shown, not obeyed, and none of them makes a line."""
    evil = "a\x1b[2Jb\u202ec\udc80\r\n\u2028ü\0\x9b"
    shown = "a\\x1b[2Jb\\u202ec\\udc80\\r\\n\\u2028ü\\x00\\x9b"
    say(evil, "ours")
    complain(evil, "ours")
    assert tuple(capsys.readouterr()) == (f"{shown}\nours\n", f"{shown}\nours\n")
    complain(*render(RefusedError(evil, hint=evil)))
    assert capsys.readouterr().err == f"error: {shown}\n  what to do: {shown}\n"
    assert table([evil], [[evil]]) == [shown, shown]


def test_an_argument_that_is_not_text(capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence and exit code 2 before anything is done with it."""
    line = CommandLine("program", "What it is for.", "/etc/default.toml")
    seen: list[argparse.Namespace] = []
    line.command("do", lambda options: seen.append(options) or 0, "do it").add_argument("name")  # type: ignore[func-returns-value]
    assert line.run(["do", "caf\udce9"]) == 2
    assert seen == []
    assert "is not UTF-8" in capsys.readouterr().err
