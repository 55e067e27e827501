"""One line of `check`: something that is well, or not, and what to do."""

from common.dataclasses import dataclass

OK, WARN, BAD = "ok", "warn", "bad"


@dataclass(frozen=True, slots=True)
class Line:
    """One finding. *level*: OK, WARN or BAD; *hint*: what to do, "" for nothing; *kind*: the name of the finding, by
    which a program knows it, "" for one without."""

    level: str
    subject: str
    sentence: str
    hint: str = ""
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.level:4} {self.subject}: {self.sentence}" + (f"; {self.hint}" if self.hint else "")
