"""Changes: another CSR for a row that is enrolled. One method, one transaction."""

import sqlalchemy as sa

from common.errors import RefusedError
from issuer.model.csr import CsrFacts
from issuer.model.enrolment import AT_ONCE, Change, Enrolment, Validation, csr_digest
from issuer.rules.alarms import FAILURES
from issuer.rules.change import Outcome, outcome_of
from issuer.store.database import Database
from issuer.store.failures import NO_FAILURE
from issuer.store.orders import give_up
from issuer.store.present import NO_CHANGE, add_event
from issuer.store.rows import named
from issuer.store.seals import Seal, put_seal
from issuer.store.tables import alarms, certs

_ANEW = {"count_fail_update": 0, "due_at": None, **NO_FAILURE}  # a row whose failures were those of another CSR


_FAILURES = [kind.value for kind in FAILURES]


class Changes:
    """Moments are epoch seconds. Raises StoreError."""

    def __init__(self, database: Database):
        self._database = database

    def replace(
        self,
        name: str,
        csr: CsrFacts,
        validation: Validation,
        now: int,
        *,
        seal: Seal | None = None,
        own_seal: Seal | None = None,
        takeover: int = 0,
    ) -> Outcome:
        """Enrol another CSR for *name*, with the ways of *validation* for its names; an earlier change that waits
        is forgotten. The ways of a CSR that waits wait with it. *seal*: for that CSR; *own_seal*: for the present one,
        with those ways, where it is the same. *takeover*: how many seconds before the end of an imported certificate
        a CSR that waits is ordered; 0: at once. Raises RefusedError if there is no such row."""

        def work(connection: sa.Connection) -> Outcome:
            row = next(iter(named(connection, [name])), None)
            if row is None:
                raise RefusedError(
                    f"{name} is not enrolled", hint="enrol it without --replace", reference="not-enrolled"
                )
            effect = outcome_of(row, csr)
            if effect is not Outcome.SAME and (effect is Outcome.TAKEN or not row.failing):
                # people were told of another CSR: the next failure is news
                connection.execute(alarms.delete().where(alarms.c.name == name, alarms.c.kind.in_(_FAILURES)))
            if row.change is not None and row.change.csr != csr.pem:
                _end_order(connection, row, row.change.csr, now)
            if effect is Outcome.DROPPED:
                _set(connection, name, NO_CHANGE)
                add_event(connection, now, name, "change dropped", "")
            elif effect is Outcome.TAKEN:
                give_up(connection, name, "another CSR was enrolled", now)
                _set(connection, name, {"csr": csr.pem, "md5_modulus": csr.md5_modulus, **_ANEW})
                add_event(connection, now, name, "enrolled anew", _told(csr))
                put_seal(connection, name, seal, now)
            elif effect is Outcome.WAITS:
                at = row.own_end - takeover if takeover else AT_ONCE
                waits = {"change_csr": csr.pem, "change_due_at": at, "change_failures": 0, "takeover": takeover or None}
                _set(connection, name, {**NO_CHANGE, **waits, "change_validations": validation.ways_text})
                if row.change is None or _terms(row.change) != (csr.pem, validation.ways_text, takeover):
                    add_event(connection, now, name, "change enrolled", _told(csr))
                put_seal(connection, name, seal, now, change=True)
            if effect is not Outcome.WAITS and validation.ways_text != row.validation.ways_text:
                _set(connection, name, {"validations": validation.ways_text or None})
                if effect is not Outcome.TAKEN:
                    put_seal(connection, name, own_seal, now)
            return effect

        return self._database.write(work)


def _end_order(connection: sa.Connection, row: Enrolment, csr: bytes, now: int) -> None:
    if row.ordered == csr_digest(csr):
        give_up(connection, row.name, "another CSR was enrolled", now)


def _terms(change: Change) -> tuple[bytes, str, int]:
    return change.csr, change.validation.ways_text, change.takeover


def _told(csr: CsrFacts) -> str:
    return f"key {csr.spki_sha256}, for {', '.join(csr.names)}"


def _set(connection: sa.Connection, name: str, values: dict[str, object]) -> None:
    connection.execute(certs.update().where(certs.c.name == name).values(values))
