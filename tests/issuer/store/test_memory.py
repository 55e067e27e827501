"""The issuer's own memory: what a look at many rows remembers is one transaction."""

import sqlite3
from pathlib import Path

import pytest

from common.errors import FileError
from issuer.trust.memory import MEMORY, Memory, Stated


def test_what_is_remembered_together_is_written_together(tmp_path: Path) -> None:
    """This process knows it at once, another one when all is there; nothing of it stays where something went wrong."""
    mine, other = Memory(tmp_path / MEMORY), Memory(tmp_path / MEMORY)
    with mine.together():
        for number in range(1, 4):
            mine.remember({f"w{number}": number})
            mine.remember_stated(f"w{number}", "key", number, "ff", 1)
        assert (mine.newest("w3"), other.newest("w3"), other.stated("w1")) == (3, 0, None)
    assert (other.newest("w3"), other.stated("w1")) == (3, Stated("key", 1, "ff"))
    with pytest.raises(ValueError, match="no"), mine.together():
        mine.remember({"w9": 9})
        raise ValueError("no")
    assert mine.newest("w9") == 0
    mine.remember({"w9": 9})
    assert other.newest("w9") == 9


def test_a_damaged_file_that_was_deleted_fills_again(tmp_path: Path) -> None:
    """The process that could not use it goes on without a restart."""
    file = tmp_path / MEMORY
    file.write_text("no database at all, and longer than its header" * 9)
    memory = Memory(file)
    with pytest.raises(FileError, match="cannot use"):
        memory.remember({"w1": 1})
    file.unlink()
    memory.remember({"w1": 1})
    assert memory.newest("w1") == 1
    with pytest.raises(FileError, match="cannot use"), memory.together():
        raise sqlite3.DatabaseError("database disk image is malformed")
    file.unlink()
    assert memory.newest("w1") == 0
