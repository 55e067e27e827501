"""Certificates that wait for a person's approval. One method, one transaction."""

import sqlalchemy as sa

from common.certificate import Bundle, fingerprint, serial_text
from issuer.model.enrolment import Enrolment
from issuer.model.obtained import Obtained
from issuer.store.database import Database
from issuer.store.present import Signer, add_event, approved, newest_version, put_in_place, unsigned
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

    def offer(self, row: Enrolment, obtained: Obtained, now: int) -> bool:
        leaf = obtained.bundle.leaf

        def work(connection: sa.Connection) -> bool:
            found = named(connection, [row.name])
            if not row.unapproved or not found or (found[0].csr, found[0].unapproved) != (row.csr, row.unapproved):
                return False
            if not put_in_place(connection, row.name, obtained, now, self._sign):
                return False
            approved(connection, row.name, fingerprint(leaf))
            detail = f"serial {serial_text(leaf)} from {obtained.directory}, which waited for approval"
            add_event(connection, now, row.name, "stored", detail)
            return True

        return self._database.write(work)
