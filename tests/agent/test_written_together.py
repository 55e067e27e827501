"""What is written together for many certificates is written one by one where that fails."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from agent.journey.faulty import faulty
from common.errors import FileError


@dataclass
class Disk:
    """Takes items all or none, and none with one of the *bad*; *written* is what it has, *tries* how often it was
    asked."""

    bad: str
    written: list[str] = field(default_factory=list)
    tries: int = 0

    def write(self, items: Sequence[str]) -> None:
        self.tries += 1
        for item in items:
            if item in self.bad:
                raise FileError(f"cannot write {item}")
        self.written += items


@pytest.mark.parametrize(
    ("items", "bad", "tries"),
    [("", "", 0), ("abc", "", 1), ("abc", "b", 4), ("abc", "abc", 4), ("a", "a", 1)],
)
def test_those_at_fault_are_named_and_the_others_written(items: str, bad: str, tries: int) -> None:
    """At once where all is well; else each alone, with its own reason."""
    disk = Disk(bad)
    failures = faulty(disk.write, list(items))
    assert [(item, str(error)) for item, error in failures] == [(item, f"cannot write {item}") for item in bad]
    assert disk.written == [item for item in items if item not in bad]
    assert disk.tries == tries
