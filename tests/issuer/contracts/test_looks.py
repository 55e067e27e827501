"""What Looks promises."""

from pathlib import Path

import pytest

from issuer.journey.ports import Looks
from issuer.trust.looks import LooksFile
from tests.issuer.fakes.looks import MemoryLooks


@pytest.fixture(params=["memory", "file"])
def looks(request: pytest.FixtureRequest, tmp_path: Path) -> Looks:
    return MemoryLooks() if request.param == "memory" else LooksFile(tmp_path / "looks.db")


def test_moments_come(looks: Looks) -> None:
    """The longest wait first, and no more than wanted; the last plan for a name counts, and none forgets it."""
    assert looks.come(99, 9) == []
    for name, moment in (("b", 5), ("a", 7), ("c", 30), ("d", 1)):
        looks.plan(name, moment)
    assert looks.come(7, 9) == ["d", "b", "a"]
    assert looks.come(7, 2) == ["d", "b"]
    looks.plan("b", 8)
    looks.plan("d", None)
    assert looks.come(7, 9) == ["a"]
    looks.plan("never planned", None)
    assert looks.come(99, 9) == ["a", "b", "c"]


def test_ends_are_known(looks: Looks) -> None:
    """The soonest first, and no more than wanted; the last one told for a name counts."""
    assert looks.soonest(9) == []
    for name, ends in (("b", 5), ("a", 7), ("none", 0), ("c", 1), ("gone", 2)):
        looks.plan(name, 99, ends)
    looks.plan("c", 99, 30)
    looks.plan("gone", None)
    assert looks.soonest(9) == ["b", "a", "c"]
    assert looks.soonest(2) == ["b", "a"]


def test_another_process_has_them_too(tmp_path: Path) -> None:
    """Two at once, and the next one."""
    one, other = LooksFile(tmp_path / "looks.db"), LooksFile(tmp_path / "looks.db")
    one.plan("a", 1)
    other.plan("b", 2)
    assert LooksFile(tmp_path / "looks.db").come(9, 9) == ["a", "b"]
    assert (tmp_path / "looks.db").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_used_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told, and what the database says counts."""
    file = tmp_path / "looks.db"
    file.write_text("no database at all, and longer than its header" * 9)
    looks = LooksFile(file)
    looks.plan("a", 1)
    assert looks.come(9, 9) == []
    assert "looks.unusable" in capsys.readouterr().out
