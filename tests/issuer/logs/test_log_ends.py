"""The ends of logs: bounded, with the rotated file before them, and without waiting for what is no file."""

import os
import time
from pathlib import Path

import pytest

from common.errors import FileError
from issuer.logs import ends
from issuer.logs.ends import end_of, ends_of, readable


def test_the_file_that_was_rotated_stands_before(tmp_path: Path) -> None:
    """A log that was rotated a moment ago does not reach back alone."""
    log = tmp_path / "access.log"
    log.write_text("new\n")
    assert end_of(log).text == b"new\n"
    (tmp_path / "access.log.1").write_text("old\n")
    assert end_of(log).text == b"old\nnew\n"
    (tmp_path / "access.log.0").write_text("of BIND\n")
    assert end_of(log).text == b"of BIND\nnew\n"
    assert end_of(log).written == log.stat().st_mtime


def test_only_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large the files are."""
    monkeypatch.setattr(ends, "_MOST", 8)
    log = tmp_path / "access.log"
    log.write_text("0123456789")
    (tmp_path / "access.log.1").write_text("abcdefghij")
    assert end_of(log).text == b"23456789"
    log.write_text("012345")
    assert end_of(log).text == b"ij012345"


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    """A pipe is not waited for, and a link that others can exchange is not followed. `check` says the same."""
    pipe, link, shared = tmp_path / "pipe", tmp_path / "shared" / "link", tmp_path / "shared"
    os.mkfifo(pipe)
    shared.mkdir()
    link.symlink_to("/etc/hostname")
    os.lchown(link, 12345, 12345) if os.geteuid() == 0 else None
    shared.chmod(0o777)
    problems = [log.problem for log in ends_of([str(tmp_path / "no.log"), str(pipe), str(tmp_path)])]
    assert problems[0] == "cannot be read: No such file or directory"
    assert problems[1:] == ["cannot be read: it is not a regular file"] * 2
    if os.geteuid() == 0:
        assert end_of(link).problem.startswith("cannot be read: ")
    with pytest.raises(FileError, match="cannot be read: No such file or directory"):
        readable("web server")(tmp_path / "no.log")


def test_a_file_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one of another machine that is away: the others are read."""
    good, away = tmp_path / "good.log", tmp_path / "away.log"
    good.write_text("a line\n")
    really = ends.end_of

    def slow(file: Path) -> object:
        if file == away:
            time.sleep(5)
        return really(file)

    monkeypatch.setattr(ends, "end_of", slow)
    first, second = ends_of([str(away), str(good)], seconds=0.2)
    assert first.problem == "cannot be read: no answer within 0.2 s"
    assert second.text == b"a line\n"
