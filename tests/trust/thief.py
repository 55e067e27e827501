"""A thief, what he tries, and the page that tells of it: docs/trust.md says of each attempt just what happened here."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "trust.md"
_ROW = re.compile(r"^\| (?P<what>[^|]+?) \| (?P<got>yes|no) \| [^|]+ \|$", re.MULTILINE)


class Thief:
    """Somebody who holds *loot*, by the words of a heading of the page. He tries, and `is_told` compares."""

    def __init__(self, loot: str) -> None:
        self.loot = loot
        self._tried: dict[str, str] = {}

    def tries(self, what: str, *, got: bool) -> None:
        """He tried to get *what*, in the words of the first column."""
        self._tried[what] = "yes" if got else "no"

    def is_told(self) -> None:
        """The page's table below the heading has each attempt with its end, and no other."""
        told = rows_of(self.loot)
        assert told == self._tried, f"the page says {told}, and here it was {self._tried}"


def rows_of(heading: str) -> dict[str, str]:
    """The first two columns of the table below a *heading* of the page."""
    _, found, section = PAGE.read_text(encoding="utf-8").partition(f"\n### {heading}\n")
    assert found, f"{PAGE.name} has no heading {heading!r}"
    return {row["what"]: row["got"] for row in _ROW.finditer(section.partition("\n### ")[0].partition("\n## ")[0])}


def headings() -> list[str]:
    """Every heading of the page with a table."""
    return re.findall(r"^### (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
