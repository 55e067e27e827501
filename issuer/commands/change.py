"""The words about a change: as --json shows it while it waits, and the ways of validation that come with it."""

from collections.abc import Sequence
from shlex import quote
from typing import Any

from common.clock import utc_text
from issuer.model.enrolment import AT_ONCE, DNS, Enrolment, Validation
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


def new_ways(row: Enrolment, names: Sequence[str], validation: Validation) -> list[str]:
    """A sentence for each of *names* that *validation* treats otherwise than *row* has it. The ways of a row are for
    its present CSR too, so a way that does not work would stop that renewal. Raises RefusedError for a way that is
    none."""
    present = () if isinstance(row.request, Damaged) else row.request.names
    told, checks = [], f"`certfleet-issuer check {quote(row.name)}` tries it"
    for name in names:
        before, now = (_way(each.of(name)) for each in (row.validation, validation))
        if before != now:
            renewal = f", also for the renewal of the present certificate: {checks}, --by {quote(f'{name}={before}')}"
            also = f"{renewal} goes back" if row.crt and name in present else ""
            told.append(f"{name} is validated by {now} from now on{also}")
    return told


def _way(validation: Validation) -> str:
    """The way of one name, as --by takes it."""
    return validation.webroot_path or validation.way or DNS
