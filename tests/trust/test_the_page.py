"""docs/trust.md tells of thieves that somebody plays, and of no others."""

import re
from pathlib import Path

from tests.trust.thief import headings, rows_of


def test_each_thief_is_played() -> None:
    """Each heading with a table is the loot of one Thief of these tests."""
    code = "".join(file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_*.py"))
    played = re.findall(r"Thief\(\"([^\"]+)\"\)", code)
    assert sorted(played) == sorted(headings())
    assert all(rows_of(heading) for heading in headings())
