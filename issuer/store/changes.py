"""Changes: another CSR for a row that is enrolled. One method, one transaction."""

import dataclasses
from dataclasses import dataclass

import sqlalchemy as sa

from common.errors import RefusedError
from issuer.model.csr import CsrFacts
from issuer.model.enrolment import AT_ONCE, Enrolment, Validation, csr_digest
from issuer.rules.change import Outcome, outcome_of
from issuer.store.database import Database
from issuer.store.failures import NO_FAILURE, let_failures_be_news
from issuer.store.orders import give_up
from issuer.store.present import NO_CHANGE, add_event
from issuer.store.rows import named
from issuer.store.seals import Seal, put_seal
from issuer.store.tables import certs

_ANEW = {"count_fail_update": 0, "due_at": None, **NO_FAILURE}  # a row whose failures were those of another CSR
_ANOTHER = "another CSR was enrolled"


@dataclass(frozen=True, slots=True)
class Replacement:
    """Another CSR for a row, with the ways of *validation* for its names. *seal*: for that CSR; *own_seal*: for the one
    of the row with those ways, where it is the same. *takeover*: how many seconds before the end of an imported
    certificate a CSR that waits is ordered; 0: at once."""

    csr: CsrFacts
    validation: Validation
    seal: Seal
    own_seal: Seal | None = None
    takeover: int = 0


class Changes:
    """Moments are epoch seconds. Raises StoreError."""

    def __init__(self, database: Database):
        self._database = database

    def replace(self, name: str, by: Replacement, now: int) -> tuple[Outcome, list[Seal]]:
        """Enrol another CSR for *name*; an earlier change that waits is forgotten. The ways of a CSR that waits wait
        with it. Returns the outcome, and the seals that are in the table now. Raises RefusedError if there is no such
        row."""

        def work(connection: sa.Connection) -> tuple[Outcome, list[Seal]]:
            row = next(iter(named(connection, [name])), None)
            if row is None:
                raise RefusedError(
                    f"{name} is not enrolled", hint="enrol it without --replace", reference="not-enrolled"
                )
            outcome = outcome_of(row, by.csr)
            if outcome is Outcome.TAKEN or (outcome is not Outcome.SAME and not row.failing):
                let_failures_be_news(connection, [name])  # people were told of another CSR
            if row.change is not None and row.change.csr != by.csr.pem and row.ordered == csr_digest(row.change.csr):
                give_up(connection, name, _ANOTHER, now)
            if outcome is Outcome.DROPPED:
                _set(connection, name, NO_CHANGE)
                add_event(connection, now, name, "change dropped", "")
            elif outcome is Outcome.TAKEN:
                _take(connection, name, by, now)
            elif outcome is Outcome.WAITS:
                _let_wait(connection, row, by, now)
            other_ways = outcome is not Outcome.WAITS and by.validation.ways_text != row.validation.ways_text
            if other_ways:
                _set(connection, name, {"validations": by.validation.ways_text or None})
            seals = _seals(by, outcome, other_ways=other_ways)
            for seal in seals:
                put_seal(connection, seal, now)
            return outcome, seals

        return self._database.write(work)


def _seals(by: Replacement, outcome: Outcome, *, other_ways: bool) -> list[Seal]:
    """The seals that belong beside the row after this *outcome*."""
    if outcome is Outcome.WAITS:
        return [by.seal]
    if outcome is Outcome.TAKEN:
        return [dataclasses.replace(by.seal, change=False)]
    return [by.own_seal] if other_ways and by.own_seal is not None else []


def _take(connection: sa.Connection, name: str, by: Replacement, now: int) -> None:
    give_up(connection, name, _ANOTHER, now)
    _set(connection, name, {"csr": by.csr.pem, "md5_modulus": by.csr.md5_modulus, **_ANEW})
    add_event(connection, now, name, "enrolled anew", _told(by.csr))


def _let_wait(connection: sa.Connection, row: Enrolment, by: Replacement, now: int) -> None:
    waits = {
        "change_csr": by.csr.pem,
        "change_due_at": row.own_end - by.takeover if by.takeover else AT_ONCE,
        "change_failures": 0,
        "takeover": by.takeover or None,
        "change_validations": by.validation.ways_text,
    }
    _set(connection, row.name, NO_CHANGE | waits)
    before = (row.change.csr, row.change.validation.ways_text, row.change.takeover) if row.change is not None else None
    if before != (by.csr.pem, by.validation.ways_text, by.takeover):
        add_event(connection, now, row.name, "change enrolled", _told(by.csr))


def _told(csr: CsrFacts) -> str:
    return f"key {csr.spki_sha256}, for {', '.join(csr.names)}"


def _set(connection: sa.Connection, name: str, values: dict[str, object]) -> None:
    connection.execute(certs.update().where(certs.c.name == name).values(values))
