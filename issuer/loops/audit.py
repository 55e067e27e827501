"""The audit of what is stored: what a new certificate cures makes its row due. `run` and the daemon both do it.

It decides nothing: issuer/rules/audit.py says what is wrong with a certificate, and what a new one is ordered for.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import structlog

from common.errors import CertfleetError
from common.revocation.state import Revocation, Status
from issuer.model.audit import Audited
from issuer.model.config import RenewalSettings
from issuer.model.enrolment import Enrolment
from issuer.model.errors import NotAudited
from issuer.model.events import Event, EventKind, audit_well, audited
from issuer.rules.audit import (
    ASK_AGAIN,
    is_over,
    is_worse,
    next_audit,
    of_audit_only,
    of_certificate,
    of_revocation,
    outcome,
    usual_audit,
    wanted,
)

log = structlog.get_logger()


class AuditStore(Protocol):
    """The rows, and what the audit leaves in them. Moments are epoch seconds. Every method raises StoreError."""

    def due(self, now: int) -> Iterable[Sequence[Enrolment]]:
        """Portions of the rows whose audit has come; none is empty."""

    def put_off(self, names: Sequence[str], at: int) -> None:
        """Nothing was found in *names*, which are audited again *at* that moment."""

    def save(self, row: Enrolment, audited: Audited, now: int) -> bool:
        """Save what the audit leaves in *row*. Where that has a reason, the row is due, whatever its dates say, until a
        new certificate is stored. False, and nothing is saved, where another one was stored since *row* was read."""


def audit_due(
    store: AuditStore,
    policy: RenewalSettings,
    now: int,
    *,
    tell: Callable[[Event], None],
    is_ours: Callable[[Enrolment], bool],
    revocations: Callable[[Sequence[Enrolment], int], Sequence[Revocation]],
    is_stranger: Callable[[Enrolment], bool],
) -> None:
    """Audit the rows whose moment has come, make those due that a new certificate cures, and *tell* what was found.
    *is_ours*: is a row what an operator enrolled, with the certificate that was signed last? Nothing is ordered for
    another one: people are told of it. *revocations*: asks about the certificates of rows at a moment; an answer for
    each. *is_stranger*: did nobody enrol a row? It is not looked at: there may be any number of these. Raises
    StoreError, and NotAudited at the end where we had a fault at a row: it stays as it is, and stops no other."""
    faulty = list[str]()
    for rows in store.due(now):
        usual, soon = usual_audit(rows[0].name, now), now + ASK_AGAIN
        strangers = {row.name for row in rows if is_stranger(row)}
        known = [row for row in rows if row.name not in strangers]
        clean, unanswered = [*strangers], list[str]()
        for row, revocation in zip(known, revocations(known, now), strict=True):
            is_unknown = revocation.status is Status.UNKNOWN
            try:
                at = next_audit(row, soon if is_unknown else usual, now, policy)
                found = of_certificate(row, now, policy, revocation=revocation)
                new, news = wanted(row, found, now), of_audit_only(found)
                left = outcome(row, found, new if new and is_ours(row) else (), at)
            except CertfleetError:
                raise
            except Exception:  # an unforeseen certificate, which anybody may have written
                log.info("audit.fault_traced", certificate=row.name, exc_info=True)
                faulty.append(row.name)
                store.save(row, Audited(soon, tuple(row.watch.found), tuple(row.watch.served)), now)
                continue
            if is_over(row, news):
                tell(audit_well(row.name))
            if not found and at in (usual, soon):
                (unanswered if is_unknown else clean).append(row.name)
                continue
            if not store.save(row, left, now):
                continue
            if urgent := of_revocation(found):
                tell(audited(row.name, urgent, EventKind.REVOKED))
            if news:
                tell(audited(row.name, news, worse=is_worse(row, news)))
        store.put_off(clean, usual)
        store.put_off(unanswered, soon)
    if faulty:
        raise NotAudited(faulty)
