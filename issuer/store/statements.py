"""Statements of many rows at once: the first ones, and those by another key. Portion by portion, so that what was done
stays done after a kill.

The moments of a row stay as they are. A host that has the certificate needs no other statement for it, and one that
refused it for want of a statement looks again at every run; new moments would have every host fetch it again."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa

from issuer.model.enrolment import Enrolment
from issuer.model.leaf import Leaf
from issuer.rules.statements import Verdict
from issuer.store.database import Database
from issuer.store.rows import select
from issuer.store.tables import certs

_PORTION = 1000  # rows; SQLite keeps other writers waiting for so many signatures
_UPDATE = sa.func.coalesce(certs.c.ts_last_update, 0)  # as a row says it that has none
_SIGN = (
    certs.update()
    .where(certs.c.name == sa.bindparam("the_name"), sa.bindparam("the_update") == _UPDATE)
    .values(statement=sa.bindparam("the_statement"))
)

Judge = Callable[[Enrolment], Verdict | None]
"""May a row be signed? None: it is to stay as it is."""

Renew = Callable[[Enrolment, Leaf, Verdict], str]
"""The new text of a row that may be signed."""


@dataclass(frozen=True, slots=True)
class Signed:
    """How many rows got a statement, and the names of the others, each with why it got none."""

    count: int
    unsigned: dict[str, str]


Together = Callable[[], AbstractContextManager[object]]
"""Lets what is remembered meanwhile be written at its end."""


def sign_many(
    database: Database, judge: Judge, renew: Renew, *, names: Sequence[str] = (), together: Together = nullcontext
) -> Signed:
    """Sign the present certificate of each row that *judge* lets: of those *names*, by default of all. *together*: for
    what *judge* and *renew* remember of a portion. Raises StoreError."""
    chosen = certs.c.name.in_(names) if names else sa.true()
    total, last = Signed(0, {}), ""
    sign = partial(_signed, judge, renew, together)
    while True:
        done, last = database.write(partial(_portion, chosen, last, sign))
        total = Signed(total.count + done.count, total.unsigned | done.unsigned)
        if not last:
            return total


def _portion(
    chosen: sa.ColumnElement[bool],
    after: str,
    sign: Callable[[Sequence[Enrolment]], tuple[list[dict[str, object]], dict[str, str]]],
    connection: sa.Connection,
) -> tuple[Signed, str]:
    """The chosen rows after the name *after*, and the last name among them; "" at the end."""
    rows = select(connection, [chosen, certs.c.name > after], most=_PORTION)
    changes, unsigned = sign(rows)
    if changes:
        connection.execute(_SIGN, changes)
    reached = rows[-1].name if rows else ""
    return Signed(len(changes), unsigned), "" if reached == after else reached  # a row that others made may stay ahead


def _signed(
    judge: Judge, renew: Renew, together: Together, rows: Sequence[Enrolment]
) -> tuple[list[dict[str, object]], dict[str, str]]:
    """The changes of *rows* that are signed, and the names of others with why they are not."""
    changes: list[dict[str, object]] = []
    unsigned: dict[str, str] = {}
    with together():
        for row in rows:
            verdict = judge(row) if row.crt else None
            if verdict is None:
                continue
            if verdict.why or not isinstance(row.present, Leaf):
                unsigned[row.name] = verdict.why or "its certificate is damaged"
                continue
            text = renew(row, row.present, verdict)
            changes.append({"the_name": row.name, "the_update": row.ts_last_update, "the_statement": text})
    return changes, unsigned
