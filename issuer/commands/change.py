"""A change that waits, as --json shows it."""

from typing import Any

from common.clock import utc_text
from issuer.model.enrolment import AT_ONCE, Enrolment
from issuer.model.leaf import Damaged
from issuer.rules.change import difference, lacking, newest


def change_fields(row: Enrolment) -> dict[str, Any]:
    """The *change* of a row, None for none, and the names that its certificate is *lacking*."""
    return {"lacking": lacking(row), "change": _change(row)}


def _change(row: Enrolment) -> dict[str, Any] | None:
    change, request = row.change, newest(row).request
    if change is None:
        return None
    facts: dict[str, Any] = {"names": [], "added": [], "dropped": [], "key_type": None, "key_sha256": None}
    if not isinstance(request, Damaged):
        different = difference(row, request)
        facts = {
            "names": list(request.names),
            "added": list(different.added),
            "dropped": list(different.gone),
            "key_type": request.key_type,
            "key_sha256": request.spki_sha256,
        }
    return facts | {
        "next": utc_text(change.due_at) if row.enabled and change.due_at != AT_ONCE else None,
        "failures": change.failures,
        "last_error": change.failure.sentence if change.failure else None,
        "failure": change.failure.fields if change.failure else None,
    }
