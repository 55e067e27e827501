"""A seal: what an operator enrolled, as the issuer keeps it beside the row. Frozen and pure.

The database carries seals and cannot make them: their key stands in the state folder (:mod:`issuer.trust.seals`).
"""

import json
from dataclasses import astuple, dataclass
from typing import Self

from issuer.model.csr import CsrFacts
from issuer.model.enrolment import Enrolment, Validation, csr_digest

_VERSION = 1
_FORMS = (str, str, str, list, str, bool, int)  # of the fields of Sealed, as JSON has them


@dataclass(frozen=True, slots=True)
class Sealed:
    """*name*: of the row. *csr*: the digest of the CSR's text. *key*: SHA-256 of its public key, "" without a usable
    CSR; *names*: its names, sorted. *validation*: as one text. *imported*: is the certificate from outside? *number*
    grows with each seal of a name; it is the moment in epoch seconds, or more."""

    name: str
    csr: str
    key: str
    names: tuple[str, ...]
    validation: str
    imported: bool
    number: int

    @classmethod
    def of(cls, row: Enrolment, number: int) -> Self:
        """The content of *row*; of one that is changing, as it will be once its certificate is stored."""
        facts = row.request if isinstance(row.request, CsrFacts) else None
        imported = row.imported and not row.changing
        return cls.enrolling(row.name, row.csr, facts, row.validation, number, imported=imported)

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
    ) -> Self:
        """The content of a row that is to be. *facts*: those of *csr*; None for one that cannot be used."""
        key, names = (facts.spki_sha256, tuple(sorted(facts.names))) if facts is not None else ("", ())
        return cls(name, csr_digest(csr), key, names, _one_text(validation), imported, number)

    @property
    def text(self) -> str:
        """One line of JSON, the same for the same content."""
        return json.dumps([_VERSION, *astuple(self)], ensure_ascii=True, separators=(",", ":"))

    @classmethod
    def of_text(cls, text: str) -> Self:
        """Raises ValueError for another text than ours."""
        found = json.loads(text)
        if not isinstance(found, list) or found[:1] != [_VERSION] or list(map(type, found[1:])) != list(_FORMS):
            raise ValueError("the content of the seal is not understood")
        name, csr, key, names, *rest = found[1:]
        return cls(name, csr, key, tuple(map(str, names)), *rest)


def _one_text(validation: Validation) -> str:
    """The ways of a row, without the spelling that has no meaning: which exception stands first."""
    exceptions = sorted(f"{name} {way}" for name, way in validation.exceptions)
    return "\n".join([str(validation.certbot), validation.webroot_path, validation.way, *exceptions])
