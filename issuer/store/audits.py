"""Columns of ``certs`` that the audit and people write. One method, one transaction."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from common.chunks import chunks
from common.pem import LARGEST
from issuer.model.audit import Audited
from issuer.model.enrolment import Enrolment
from issuer.model.watch import MAILS, REPLACING
from issuer.rules.audit import AUDIT_EVERY
from issuer.store.cells import too_far
from issuer.store.database import Database
from issuer.store.present import add_event
from issuer.store.rows import Question, change_as_read, portions
from issuer.store.tables import certs, is_enabled

_PORTION = 500  # rows in memory, and names in one statement


class Audits:
    """An AuditStore (issuer/loops/audit.py), and what people say to findings. Moments are epoch seconds. Raises
    StoreError."""

    def __init__(self, database: Database):
        self._database = database

    def due(self, now: int) -> Iterator[list[Enrolment]]:
        """Portions of the enabled rows with a certificate whose audit has come, was never made, or is further ahead
        than one is ever put off. Each question has the index of ``audit_at``. A certificate that is longer than we read
        is told as damaged by every run; to write a cell beside it SQLite would need room for all of its row."""
        of_ours = (is_enabled, sa.func.length(certs.c.crt).between(1, LARGEST))
        questions: list[Question] = [
            (*of_ours, certs.c.audit_at.is_(None)),
            (*of_ours, certs.c.audit_at <= now),
            (*of_ours, too_far(certs.c.audit_at, now, AUDIT_EVERY)),
        ]
        for question in questions:
            yield from portions(self._database, question, _PORTION)

    def put_off(self, names: Sequence[str], at: int) -> None:
        values = {"audit_at": at, "audit_found": None, "audit_served": None}

        def work(connection: sa.Connection) -> None:
            for some in chunks(names, _PORTION):
                connection.execute(certs.update().where(certs.c.name.in_(some)).values(**values))

        if names:
            self._database.write(work, durable=False)

    def save(self, row: Enrolment, audited: Audited, now: int) -> bool:
        found, served, reason = " ".join(audited.found), " ".join(audited.served), audited.reason
        values: dict[str, object] = {"audit_at": audited.at, "audit_found": found, "audit_served": served}
        if reason:
            values |= {"reissue_reason": reason, "due_at": None}

        def work(connection: sa.Connection) -> bool:
            changed = change_as_read(connection, row.name, {certs.c.crt: row.crt}, values)
            if changed and reason:
                add_event(connection, now, row.name, "to be replaced", reason)
            return changed

        return self._database.write(work)

    def mute(self, names: Sequence[str], until: int | None, *, replacing: bool, mails: bool, now: int) -> None:
        """Until that moment nothing replaces the certificates of *names* because of a finding (*replacing*), and no
        mail tells of them (*mails*). With None for the moment a mute ends. They are audited at the next run."""
        what = " ".join(word for word, given in ((REPLACING, replacing), (MAILS, mails)) if given)
        muted: dict[str, object] = {"mute_until": until, "mute": what if until else None, "audit_at": None}

        def work(connection: sa.Connection) -> None:
            connection.execute(certs.update().where(certs.c.name.in_(names)).values(**muted))
            for name in names:
                add_event(connection, now, name, "muted" if until else "no longer muted", what if until else "")

        self._database.write(work)

    def note(self, names: Sequence[str], *, contact: str | None, renewal_note: str | None) -> None:
        """Save a person's words; None leaves them as they are, "" ends them."""
        given = {"contact": contact, "renewal_note": renewal_note}
        values = {column: text or None for column, text in given.items() if text is not None}
        change = certs.update().where(certs.c.name.in_(names)).values(**values)
        self._database.write(lambda connection: connection.execute(change))
