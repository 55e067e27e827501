"""Certificates that wait for a person's approval. One method, one transaction."""

from typing import Any

import sqlalchemy as sa

from common.certificate import Bundle, serial_text
from issuer.model.enrolment import Enrolment
from issuer.store.database import Database
from issuer.store.present import Signer, add_event, approved, newest_version, replace_present, unsigned
from issuer.store.rows import named, select
from issuer.store.tables import certs, versions


class Approvals:
    """An ApprovalStore (issuer/journey/rows.py), with the list of those that wait. *sign*: for :meth:`offer`."""

    def __init__(self, database: Database, *, sign: Signer = unsigned):
        self._database = database
        self._sign = sign

    def waiting(self) -> list[Enrolment]:
        """The rows in which a certificate waits. Reads the whole table."""
        return self._database.read(lambda connection: select(connection, [certs.c.unapproved.is_not(None)]))

    def certificate(self, row: Enrolment) -> Bundle | None:
        sha256 = row.waiting.sha256 if row.waiting is not None else ""
        return newest_version(self._database, versions.c.name == row.name, versions.c.sha256 == sha256)

    def offer(self, row: Enrolment, bundle: Bundle, now: int, *, due_at: int, ask_at: int | None) -> bool:
        waiting = row.waiting
        if waiting is None:
            return False
        present: dict[str, Any] = {"due_at": due_at, "ari_ask_at": ask_at, "directory": waiting.directory}
        present |= {"account": waiting.account or None, "profile": waiting.profile or None}
        present["early"] = "Y" if waiting.early else None

        def work(connection: sa.Connection) -> bool:
            found = named(connection, [row.name])
            if not found or (found[0].csr, found[0].unapproved) != (row.csr, row.unapproved):
                return False
            if not replace_present(connection, row.name, bundle, now, sign=self._sign, csr=row.csr, **present):
                return False
            approved(connection, row.name, waiting.sha256)
            detail = f"serial {serial_text(bundle.leaf)} from {waiting.directory}, which waited for approval"
            add_event(connection, now, row.name, "stored", detail)
            return True

        return self._database.write(work)
