"""A failure in its columns: one has all of it in a line, for people and old scripts; the others have its parts.

The line wins: if it differs from the parts, an earlier version or a script wrote it after them.
"""

import dataclasses
import json
from collections.abc import Collection

import sqlalchemy as sa

from common.strict_json import made, parse_json
from issuer.model.failure import Failure
from issuer.rules.alarms import FAILURES
from issuer.store.cells import LONGEST_TOLD
from issuer.store.tables import alarms

_PARTS = ("what", "why", "hint", "reference", "url", "asked")
NO_FAILURE = dict.fromkeys(("last_error", *(f"last_{part}" for part in _PARTS)))


def line(failure: Failure) -> str:
    """The failure in one line, cut to the length of its column."""
    return failure.sentence[:LONGEST_TOLD]


def failure_cells(failure: Failure) -> dict[str, str]:
    """The columns of ``certs``, by name."""
    parts = {"what": failure.what, "why": failure.why, "hint": failure.hint, "url": failure.url, "asked": failure.asked}
    cells = {f"last_{part}": text[:LONGEST_TOLD] for part, text in parts.items()}
    return {"last_error": line(failure), "last_reference": failure.reference, **cells}


def failure_of(row: sa.RowMapping) -> Failure | None:
    """The last failure in a row of ``certs``; None after a success."""
    parts = Failure(**{part: row[f"last_{part}"] for part in _PARTS})
    told = row["last_error"]
    if told and told != line(parts):
        return Failure(told, reference=parts.reference)
    return parts if told else None


def to_text(failure: Failure) -> str:
    """The failure in one column, as JSON."""
    return json.dumps({part: text[:LONGEST_TOLD] for part, text in dataclasses.asdict(failure).items()})


def of_text(text: str) -> Failure | None:
    """The failure in such a column; None for an empty one. Other text is told as it stands."""
    try:
        return made(Failure, parse_json(text)) if text else None
    except (ValueError, TypeError):
        return Failure(text)


def let_failures_be_news(connection: sa.Connection, names: Collection[str]) -> None:
    """Forget that people were told of failures of *names*, so that they hear of the next one."""
    kinds = [kind.value for kind in FAILURES]
    connection.execute(alarms.delete().where(alarms.c.name.in_(names), alarms.c.kind.in_(kinds)))
