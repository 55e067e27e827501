"""What went wrong, as facts that stay apart until they are shown. Pure."""

from dataclasses import dataclass
from typing import Self

from common.errors import CertfleetError
from issuer.model.errors import AcmeProblem


@dataclass(frozen=True, slots=True)
class Failure:
    """*what* went wrong, *why*, what to do about it (*hint*), its kind (*reference*), and the address that a CA names
    for it (*url*); "" for what is not known."""

    what: str
    why: str = ""
    hint: str = ""
    reference: str = ""
    url: str = ""

    @classmethod
    def of(cls, error: CertfleetError, hint: str | None = None) -> Self:
        """The facts of *error*; with *hint* in place of its own where one is given."""
        url = error.url if isinstance(error, AcmeProblem) else ""
        return cls(error.what, error.why, error.hint if hint is None else hint, error.reference, url)

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" if self.why else self.what

    @property
    def sentence(self) -> str:
        """All that people are told, in one text: what, why and, in brackets, what to do."""
        return f"{self} ({self.hint})" if self.hint else str(self)
