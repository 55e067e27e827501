"""A failure as facts that stay apart until they are shown. Pure."""

import dataclasses
from dataclasses import dataclass
from typing import Self

from common.errors import CertfleetError
from issuer.model.errors import AcmeProblem


@dataclass(frozen=True, slots=True)
class Failure:
    """*what* went wrong, *why*, what to do (*hint*), its kind (*reference*), and the page for people that a CA names
    (*url*). *asked*: who asked our own servers for an answer, as their logs tell. It is shown beside the cause and is
    no part of it: failures that differ in it alone are equal. An unknown fact is ""."""

    what: str
    why: str = ""
    hint: str = ""
    reference: str = ""
    url: str = ""
    asked: str = dataclasses.field(default="", compare=False)

    @classmethod
    def of(cls, error: CertfleetError, hint: str | None = None) -> Self:
        """The facts of *error*, with *hint* in place of its own where one is given."""
        url, asked = (error.url, error.asked) if isinstance(error, AcmeProblem) else ("", "")
        return cls(error.what, error.why, error.hint if hint is None else hint, error.reference, url, asked)

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" if self.why else self.what

    @property
    def sentence(self) -> str:
        """Everything in one line, for tables and logs."""
        see = f"; see {self.url}" if self.url and self.url not in str(self) else ""
        beside = f"; {self.asked}" if self.asked else ""
        return str(self) + beside + (f" ({self.hint})" if self.hint else "") + see

    @property
    def advice(self) -> list[tuple[str, str]]:
        """(label, text) of the lines below what and why, where there is room for them."""
        lines = (("who asked", self.asked), ("what to do", self.hint), ("see", self.url))
        return [(label, text) for label, text in lines if text]

    def paragraph(self, about: str = "") -> list[str]:
        """The lines for standard error: what and why, behind the words *about* whom, and the advice."""
        return [f"error: {about}{self}", *(f"  {label}: {text}" for label, text in self.advice)]

    @property
    def fields(self) -> dict[str, str | None]:
        """For --json. An unknown fact is None."""
        return {name: text or None for name, text in dataclasses.asdict(self).items()}
