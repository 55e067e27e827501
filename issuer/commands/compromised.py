"""A key that others know is refused before anything is changed."""

from collections.abc import Iterable

from issuer.csr import key_of
from issuer.errors import CompromisedKey
from issuer.model import Enrolment


def refuse_compromised(rows: Iterable[Enrolment]) -> None:
    """CompromisedKey where the CSR of a row has a key for which a certificate of that name was revoked."""
    found = [row.name for row in rows if row.compromised and key_of(row.csr) in row.compromised]
    if found:
        raise CompromisedKey(found)
