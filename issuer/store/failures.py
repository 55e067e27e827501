"""A failure in its columns. One has all of it in one line, for people and old scripts; the others have the facts.

The line wins: where it says something else than the facts, an earlier version or a script has written it after them.
"""

import sqlalchemy as sa

from issuer.model.failure import Failure

_LONGEST = 2000  # characters of a column


def line(failure: Failure) -> str:
    """All of it, as long as its column may be."""
    return failure.sentence[:_LONGEST]


def failure_cells(failure: Failure) -> dict[str, str]:
    """The columns of ``certs``, by name."""
    facts = {"what": failure.what, "why": failure.why, "hint": failure.hint, "url": failure.url}
    cells = {f"last_{fact}": text[:_LONGEST] for fact, text in facts.items()}
    return {"last_error": line(failure), "last_reference": failure.reference, **cells}


def failure_of(row: sa.RowMapping) -> Failure | None:
    """The last failure in a row of ``certs``; None after a success."""
    what, why, hint, url = (row[f"last_{fact}"] or "" for fact in ("what", "why", "hint", "url"))
    facts = Failure(what, why, hint, row["last_reference"] or "", url)
    told = row["last_error"] or ""
    if told and told != line(facts):
        return Failure(told, reference=facts.reference)
    return facts if told else None
