"""A line of `check`, of either side: something that is well, or not, and what to do. Pure."""

from enum import Enum

from common.dataclasses import dataclass


class Level(Enum):
    """How bad it is, in the word that people and programs read."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


OK, WARN, BAD = Level


@dataclass(frozen=True, slots=True)
class Line:
    """One finding. *hint*: what to do, "" for nothing; *kind*: its name, by which a program knows it, "" for one
    without."""

    level: Level
    subject: str
    sentence: str
    hint: str = ""
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.level.value:4} {self.subject}: {self.sentence}" + (f"; {self.hint}" if self.hint else "")
