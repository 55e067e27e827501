"""The ends of logs: bounded, with the rotated file before them, and without waiting for what is no file."""

import gzip
import os
import time
from pathlib import Path

import pytest

from common.errors import FileError
from common.files import read_end
from issuer.logs import ends
from issuer.logs import rotated as packing
from issuer.logs.ends import end_of, ends_of, readable
from issuer.rules.rotated import rotated

NOW = 1_796_000_000


def put(file: Path, content: bytes | str, written: int = NOW) -> Path:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(file, (written, written))
    return file


def test_logs_that_were_rotated_stand_before(tmp_path: Path) -> None:
    """As far as the time reaches back, newest first, and one that is older: it shows that none is missing between."""
    log = put(tmp_path / "access.log", "new\n")
    assert end_of(log, NOW).text == b"new\n"
    for age in (3, 1, 2):
        put(tmp_path / f"access.log-2026112{8 - age}.gz", gzip.compress(f"{age} old\n".encode()), NOW - age * 100)
    assert end_of(log, NOW - 50).text == b"1 old\nnew\n"
    assert end_of(log, NOW - 150).text == b"2 old\n1 old\nnew\n"
    assert end_of(log, NOW - 900).text == b"3 old\n2 old\n1 old\nnew\n"
    assert end_of(log, NOW - 900).written == NOW


ROTATED = [
    "access.log.0",
    "access.log.1",
    "access.log.2.gz",
    "access.log-20261128",
    "access.log-20261128.gz",
    "access.log-20261128-1796000000",
    "access.log.2026-11-28_13",
    "access-20261128.log",
    "access-2026-11-28.log.gz",
    "access.log.20261128120000123",
]
OTHERS = [
    "access.log",
    "access-2.log",
    "error.log.1",
    "access.log.1.bak",
    "access.log.gz",
    "my-access.log.1",
    "access.log-new",
]


def test_names_of_rotated_logs() -> None:
    """What logrotate and BIND call them; other logs are not taken for them, and none counts packed and not."""
    assert set(rotated("access.log", [*ROTATED, *OTHERS])) == {*ROTATED} - {"access.log-20261128.gz"}
    assert rotated("log", ["log.1", "log-20261128", "catalog.1"]) == ["log-20261128", "log.1"]


@pytest.mark.parametrize(
    "bomb",
    [gzip.compress(bytes(3_000_000)), gzip.compress(b"") * 100, gzip.compress(b"x" * 90)[:-12], b"no gzip at all"],
    ids=["unpacks without end", "packed without end", "cut off", "none"],
)
def test_a_packed_log_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bomb: bytes) -> None:
    """Nothing older is read: its lines would hide that there is a gap."""
    monkeypatch.setattr(packing, "_MOST_PACKED", 4000 if len(bomb) > 2500 else 1500)
    monkeypatch.setattr(packing, "_MOST_UNPACKED", 2_000_000)
    log = put(tmp_path / "access.log", "new\n")
    put(tmp_path / "access.log.1.gz", bomb, NOW - 100)
    put(tmp_path / "access.log.2", "old\n", NOW - 200)
    assert end_of(log, NOW - 900).text == b"new\n"
    put(tmp_path / "access.log.1.gz", gzip.compress(b"good\n"), NOW - 100)
    assert end_of(log, NOW - 900).text == b"old\ngood\nnew\n"


def test_only_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large the files are."""
    monkeypatch.setattr(ends, "_MOST", 8)
    log = put(tmp_path / "access.log", "0123456789")
    put(tmp_path / "access.log.1", "abcdefghij", NOW - 100)
    assert end_of(log, 0).text == b"23456789"
    put(log, "012345")
    assert end_of(log, 0).text == b"ij012345"
    (tmp_path / "access.log.1").unlink()
    put(tmp_path / "access.log.1.gz", gzip.compress(b"abcdefghij"), NOW - 100)
    assert end_of(log, 0).text == b"ij012345"


def test_a_log_that_is_rotated_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lines count once."""
    log = put(tmp_path / "access.log", "once\n")
    really = read_end

    def then_rotate(file: Path, most: int) -> tuple[bytes, os.stat_result]:
        found = really(file, most)
        file.rename(file.with_name("access.log.1"))
        return found

    monkeypatch.setattr(ends, "read_end", then_rotate)
    assert end_of(log, 0).text == b"once\n"


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    """A pipe is not waited for, and a link that others can exchange is not followed. `check` says the same."""
    pipe, link, shared = tmp_path / "pipe", tmp_path / "shared" / "link", tmp_path / "shared"
    os.mkfifo(pipe)
    shared.mkdir()
    link.symlink_to("/etc/hostname")
    os.lchown(link, 12345, 12345) if os.geteuid() == 0 else None
    shared.chmod(0o777)
    problems = [log.problem for log in ends_of([str(tmp_path / "no.log"), str(pipe), str(tmp_path)], NOW)]
    assert problems[0] == "cannot be read: No such file or directory"
    assert problems[1:] == ["cannot be read: it is not a regular file"] * 2
    if os.geteuid() == 0:
        assert end_of(link, NOW).problem.startswith("cannot be read: ")
    with pytest.raises(FileError, match="cannot be read: No such file or directory"):
        readable("web server")(tmp_path / "no.log")


def test_a_file_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one of another machine that is away: the others are read."""
    good, away = tmp_path / "good.log", tmp_path / "away.log"
    good.write_text("a line\n")
    really = ends.end_of

    def slow(file: Path, since: float) -> object:
        if file == away:
            time.sleep(5)
        return really(file, since)

    monkeypatch.setattr(ends, "end_of", slow)
    first, second = ends_of([str(away), str(good)], NOW, seconds=0.2)
    assert first.problem == "cannot be read: no answer within 0.2 s"
    assert second.text == b"a line\n"
