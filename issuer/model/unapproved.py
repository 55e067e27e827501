"""A certificate that waits for a person's approval before hosts get it, as the issuer keeps it beside its row. Frozen
and pure.

The database carries it in one line that an issuer has sealed (:mod:`issuer.trust.seals`).
"""

import json
from typing import Self

from common.dataclasses import astuple, dataclass
from common.strict_json import parse_json

_KIND = "unapproved"
_FORMS = (str, str, int, str, str, str, bool, bool)  # of the fields, as JSON has them


@dataclass(frozen=True, slots=True)
class Unapproved:
    """*name*: of its row. *sha256*: of the certificate, under which the table ``versions`` has it. *until*: the moment
    (epoch seconds) from which on it needs no approval. The others are columns of ``certs`` that it gets once it is the
    present one; *asks*: does its CA offer renewal information?"""

    name: str
    sha256: str
    until: int
    directory: str
    account: str
    profile: str
    early: bool
    asks: bool

    @property
    def text(self) -> str:
        """One line of JSON. It begins as the text of no seal does."""
        return json.dumps([_KIND, *astuple(self)], ensure_ascii=True, separators=(",", ":"))

    @classmethod
    def of_text(cls, text: str) -> Self:
        """Raises ValueError for another text than ours."""
        found = parse_json(text)
        if not isinstance(found, list) or found[:1] != [_KIND] or list(map(type, found[1:])) != list(_FORMS):
            raise ValueError("it is not the text of an unapproved certificate")
        return cls(*found[1:])

    @classmethod
    def of_line(cls, line: str) -> Self | None:
        """The content of a sealed line "KEY MAC CONTENT", whether or not the seal is genuine; None for another line."""
        try:
            return cls.of_text(line.split(" ", 2)[2])
        except (ValueError, IndexError):
            return None
