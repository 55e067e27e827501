"""The audit of what is stored: what a new certificate cures makes its row due. `run` and the daemon both do it.

It decides nothing: issuer/rules/audit.py says what is wrong with a certificate, and what a new one is ordered for.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from common.revocation.state import Revocation, Status
from issuer.model.audit import Audited, Finding
from issuer.model.config import RenewalSettings
from issuer.model.enrolment import Enrolment
from issuer.model.events import Event, EventKind, audited
from issuer.rules.audit import (
    ASK_AGAIN,
    next_audit,
    of_audit_only,
    of_certificate,
    of_revocation,
    outcome,
    usual_audit,
    wanted,
)


class AuditStore(Protocol):
    """The rows, and what the audit leaves in them. Moments are epoch seconds. Every method raises StoreError."""

    def due(self, now: int) -> Iterable[Sequence[Enrolment]]:
        """Portions of the rows whose audit has come."""

    def put_off(self, names: Sequence[str], at: int) -> None:
        """Nothing was found in *names*, which are audited again *at* that moment."""

    def save(self, name: str, audited: Audited, now: int) -> None:
        """Save what the audit leaves in the row. Where that has a reason, the row is due, whatever its dates say, until
        a new certificate is stored."""


class Auditor:
    """*is_ours*: is a row what an operator enrolled, with the certificate that was signed last? Nothing is ordered for
    another one: people are told of it. *revocations*: asks about the certificates of rows at a moment; an answer for
    each. *is_stranger*: did nobody enrol a row? It is not looked at: there may be any number of these."""

    def __init__(
        self,
        store: AuditStore,
        policy: RenewalSettings,
        tell: Callable[[Event], None],
        is_ours: Callable[[Enrolment], bool],
        revocations: Callable[[Sequence[Enrolment], int], Sequence[Revocation]],
        *,
        is_stranger: Callable[[Enrolment], bool] = lambda _: False,
    ):
        self._store = store
        self._policy = policy
        self._tell = tell
        self._is_ours = is_ours
        self._revocations = revocations
        self._is_stranger = is_stranger

    def audit_due(self, now: int) -> None:
        """Audit the rows whose moment has come. Raises StoreError."""
        for rows in self._store.due(now):
            self.audit(rows, now)

    def audit(self, rows: Sequence[Enrolment], now: int) -> None:
        """Audit *rows*, make those due that a new certificate cures, and tell what was found."""
        usual, soon = usual_audit(rows[0].name, now) if rows else now, now + ASK_AGAIN
        clean, unanswered = [row.name for row in rows if self._is_stranger(row)], list[str]()
        strangers = set(clean)
        known = [row for row in rows if row.name not in strangers]
        for row, revocation in zip(known, self._revocations(known, now), strict=True):
            is_unknown = revocation.status is Status.UNKNOWN
            at = next_audit(row, soon if is_unknown else usual, now, self._policy)
            found = of_certificate(row, now, self._policy, revocation=revocation)
            if found or at not in (usual, soon):
                self._save(row, found, at, now)
            else:
                (unanswered if is_unknown else clean).append(row.name)
        self._store.put_off(clean, usual)
        self._store.put_off(unanswered, soon)

    def _save(self, row: Enrolment, found: Sequence[Finding], at: int, now: int) -> None:
        new = wanted(row, found, now)
        self._store.save(row.name, outcome(row, found, new if new and self._is_ours(row) else (), at), now)
        if urgent := of_revocation(found):
            self._tell(audited(row.name, urgent, EventKind.REVOKED))
        if news := of_audit_only(found):
            self._tell(audited(row.name, news))
