"""Which present certificates are signed together, and what is wrong with the statement of a row. Pure.

A statement says that this issuer stands by a certificate. The database alone is no reason to sign one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from shlex import quote

from common.check_line import Line
from common.names import uncovered
from common.statement import Statement
from issuer.model.csr import CsrFacts
from issuer.model.enrolment import Enrolment
from issuer.model.leaf import Damaged, Leaf
from issuer.rules.findings import bad, warn

_NONE = "its certificate has no statement of ours"
_OTHER_KEY = "its statement is signed by another key than ours"

Read = Callable[[str], Statement | None]
"""The statement in a signed text; None where none of our keys has signed it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """May the certificate of a row be signed? *why* not, in a sentence, or "". *older*: is it gone back to?"""

    why: str = ""
    older: bool = False


def at_first(row: Enrolment) -> Verdict:
    """As long as there are no statements: key and names have to be those of the row's CSR."""
    leaf, request = row.present, row.request
    if isinstance(leaf, Damaged) or leaf is None:
        return Verdict("its certificate is damaged")
    if row.revoked:
        return Verdict("its certificate is revoked")
    if not row.csr:
        return Verdict("it has no CSR to compare its certificate with")
    if not isinstance(request, CsrFacts):
        return Verdict("its CSR is damaged")
    if leaf.spki_sha256 != request.spki_sha256:
        return Verdict("its certificate is for another key than its CSR")
    if missing := uncovered(frozenset(request.names), leaf.names):
        return Verdict(f"its certificate lacks names of its CSR: {', '.join(missing)}")
    return Verdict()


def by_hand(row: Enrolment) -> Verdict:
    """A person has looked at it: without a CSR there is nothing else to compare with."""
    if not row.csr and isinstance(row.present, Leaf) and not row.revoked:
        return Verdict()
    return at_first(row)


def fault_by_hand(row: Enrolment, read: Read) -> str:
    """The fault of the statement of *row*, if a person who has looked at it may mend it; else ""."""
    if not row.crt or by_hand(row).why:
        return ""
    return _fault(row, read(row.statement) if row.statement else None)


def again(row: Enrolment, read: Read) -> Verdict:
    """The verdict on signing with another key of ours: only what was signed before, and is still the present one."""
    statement = read(row.statement) if row.statement else None
    if fault := _fault(row, statement):
        return Verdict(fault)
    return Verdict(older=statement is not None and statement.older)


def finding(row: Enrolment, read: Read) -> Line | None:
    """The finding of `check` about the statement of *row*; None where hosts with `issuer_key` take its certificate."""
    if not row.crt:
        return None
    if not row.statement:
        hint = f"hosts with issuer_key do not take it: look at it, then `key sign {quote(row.name)}`"
        return warn(row.name, _NONE, hint)
    fault = _fault(row, read(row.statement))
    if fault == _OTHER_KEY:
        hint = f"two issuers share statement.pem; if the key was lost, look at it, then `key sign {quote(row.name)}`"
    else:
        hint = f"somebody changed the row past certfleet: `history` has what we stored, `reissue {quote(row.name)}`"
    return bad(row.name, fault, hint) if fault else None


def _fault(row: Enrolment, statement: Statement | None) -> str:
    leaf = row.present
    if not row.statement:
        return _NONE
    if statement is None:
        return _OTHER_KEY
    if not isinstance(leaf, Leaf):
        return "its certificate is damaged"
    if (statement.name, statement.sha256) != (row.name, leaf.sha256):
        return "its statement is about another certificate than the present one"
    return ""
