"""What the audit leaves in rows, in memory."""

import dataclasses
from collections.abc import Iterator, Sequence

from issuer.model.audit import Audited
from issuer.model.enrolment import Enrolment
from issuer.model.moments import believable
from issuer.rules.audit import AUDIT_EVERY
from tests.issuer.fakes.tables import Tables


class MemoryAudits:
    """An AuditStore."""

    def __init__(self, tables: Tables):
        self._tables = tables

    def due(self, now: int) -> Iterator[list[Enrolment]]:
        rows = [row for row in self._tables.certs.values() if row.enabled and row.crt]
        if come := [row for row in rows if not believable(row.watch.audit_at, now, AUDIT_EVERY)]:
            yield come

    def put_off(self, names: Sequence[str], at: int) -> None:
        for name in names:
            self._leave(name, Audited(at))

    def save(self, row: Enrolment, audited: Audited, now: int) -> bool:
        if self._tables.certs[row.name].crt != row.crt:
            return False
        self._leave(row.name, audited)
        if audited.reason:
            wish = {"reissue_reason": audited.reason, "due_at": None}
            changed = dataclasses.replace(self._tables.certs[row.name], **wish)  # type: ignore[arg-type]
            self._tables.certs[row.name] = changed
        return True

    def _leave(self, name: str, audited: Audited) -> None:
        found, served = frozenset(audited.found), frozenset(audited.served)
        row = self._tables.certs[name]
        watch = dataclasses.replace(row.watch, audit_at=audited.at, found=found, served=served)
        self._tables.certs[name] = dataclasses.replace(row, watch=watch)
