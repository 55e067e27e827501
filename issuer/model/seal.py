"""A seal: what an operator enrolled, as the issuer keeps it beside the row. Frozen and pure.

The database carries seals and cannot make them: their key stands in the state folder (:mod:`issuer.trust.seals`).
"""

import json
from typing import Self

from common.dataclasses import astuple, dataclass
from issuer.model.csr import CsrFacts
from issuer.model.enrolment import Enrolment, Validation, csr_digest

_FORMS = (str, str, str, list, str, bool, int)  # of the fields of Sealed without a takeover, as JSON has them
_VERSIONS = {1: _FORMS, 2: (*_FORMS, int)}  # the second one with a takeover


@dataclass(frozen=True, slots=True)
class Sealed:
    """*name*: of the row. *csr*: the digest of the CSR's text. *key*: SHA-256 of its public key, "" without a usable
    CSR; *names*: its names, sorted. *validation*: as one text. *imported*: is the certificate from outside? *number*
    grows with each seal of a name; it is the moment in epoch seconds, or more. *takeover*: of a change, the moment from
    which on it is ordered in place of an imported certificate (epoch seconds); 0 for at once."""

    name: str
    csr: str
    key: str
    names: tuple[str, ...]
    validation: str
    imported: bool
    number: int
    takeover: int = 0

    @classmethod
    def of(cls, row: Enrolment, number: int) -> Self:
        """The content of *row*; of one that is changing, as it will be once its certificate is stored."""
        facts = row.request if isinstance(row.request, CsrFacts) else None
        imported, takeover = row.imported and not row.changing, takeover_of(row)
        return cls.enrolling(row.name, row.csr, facts, row.validation, number, imported=imported, takeover=takeover)

    @classmethod
    def enrolling(
        cls,
        name: str,
        csr: bytes,
        facts: CsrFacts | None,
        validation: Validation,
        number: int,
        *,
        imported: bool = False,
        takeover: int = 0,
    ) -> Self:
        """The content of a row that is to be. *facts*: those of *csr*; None for one that cannot be used."""
        key, names = (facts.spki_sha256, tuple(sorted(facts.names))) if facts is not None else ("", ())
        return cls(name, csr_digest(csr), key, names, _one_text(validation), imported, number, takeover)

    @property
    def text(self) -> str:
        """One line of JSON, the same for the same content."""
        content = [2, *astuple(self)] if self.takeover else [1, *astuple(self)[:-1]]
        return json.dumps(content, ensure_ascii=True, separators=(",", ":"))

    @classmethod
    def of_text(cls, text: str) -> Self:
        """Raises ValueError for another text than ours."""
        found = json.loads(text)
        forms = _VERSIONS.get(found[0]) if isinstance(found, list) and found[:1] in ([1], [2]) else None
        if forms is None or tuple(map(type, found[1:])) != forms:
            raise ValueError("the content of the seal is not understood")
        name, csr, key, names, *rest = found[1:]
        return cls(name, csr, key, tuple(map(str, names)), *rest)


def takeover_of(row: Enrolment) -> int:
    """The moment that the seal of *row* is to cover; 0 unless its change sees the row."""
    return row.takeover_at or 0 if row.changing else 0


def _one_text(validation: Validation) -> str:
    """The ways of a row, without the spelling that has no meaning: which exception stands first."""
    exceptions = sorted(f"{name} {way}" for name, way in validation.exceptions)
    return "\n".join([str(validation.certbot), validation.webroot_path, validation.way, *exceptions])
