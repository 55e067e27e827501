"""Several files replaced together: all or none, and nothing left beside them."""

import os
import stat
from pathlib import Path

import pytest

from common.errors import FileError
from common.files import NewContent, leftover_temporaries, write_all_atomic


def test_all_are_replaced_with_their_modes(tmp_path: Path) -> None:
    """Content and mode of each, one that was there and one that was not."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("old")
    write_all_atomic({old: NewContent(b"1", 0o640), new: NewContent(b"2", 0o600)})
    assert [(file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) for file in (old, new)] == [
        (b"1", 0o640),
        (b"2", 0o600),
    ]
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]


def test_none_is_replaced_when_one_cannot_be_written(tmp_path: Path) -> None:
    """The temporaries come first: a folder that is missing for the second file leaves the first as it was."""
    first = tmp_path / "first"
    first.write_text("old")
    with pytest.raises(FileError, match="cannot write"):
        write_all_atomic({first: NewContent(b"1", 0o600), tmp_path / "gone" / "second": NewContent(b"2", 0o600)})
    assert first.read_text() == "old"
    assert os.listdir(tmp_path) == ["first"]


def test_leftovers_of_a_killed_process_are_found(tmp_path: Path) -> None:
    """Only the temporaries of this very file."""
    file = tmp_path / "a.pem"
    left = tmp_path / ".a.pem.123.tmp"
    for other in (left, tmp_path / ".aXpem.123.tmp", tmp_path / ".a.pem.x.tmp", tmp_path / ".b.a.pem.1.tmp"):
        other.touch()
    assert leftover_temporaries(file) == [left]
    assert leftover_temporaries(tmp_path / "gone" / "a.pem") == []


def test_a_leftover_of_our_own_number_is_no_obstacle(tmp_path: Path) -> None:
    """Process numbers come again; what a killed process left under ours is replaced."""
    file = tmp_path / "a"
    (tmp_path / f".a.{os.getpid()}.tmp").write_text("left")
    write_all_atomic({file: NewContent(b"1", 0o600)})
    assert os.listdir(tmp_path) == ["a"]
