"""A key that others know is refused before anything is changed."""

from collections.abc import Iterable

from issuer.model.enrolment import Enrolment
from issuer.model.errors import CompromisedKey
from issuer.rules.csr import key_of


def refuse_compromised(rows: Iterable[Enrolment]) -> None:
    """CompromisedKey where the CSR of a row has a key for which a certificate of that name was revoked."""
    found = [row.name for row in rows if row.compromised and key_of(row.csr) in row.compromised]
    if found:
        raise CompromisedKey(found)
