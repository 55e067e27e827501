"""The words about a change: as --json shows it while it waits, and the ways of validation that come with it."""

from collections.abc import Sequence
from shlex import quote
from typing import Any

from common.clock import utc_text
from issuer.commands.challenge_types import challenge_type
from issuer.model.enrolment import AT_ONCE, DNS, Enrolment, Validation
from issuer.model.leaf import Damaged
from issuer.rules.change import difference, lacking, newest


def change_fields(row: Enrolment) -> dict[str, Any]:
    """For --json: `lacking`, the names that the certificate of *row* lacks, and `change`, None where none waits."""
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
        **way_fields(newest(row)),
        "next": utc_text(change.due_at) if row.enabled and change.due_at != AT_ONCE else None,
        "failures": change.failures,
        "last_error": change.failure.sentence if change.failure else None,
        "failure": change.failure.fields if change.failure else None,
    }


def new_ways(row: Enrolment, names: Sequence[str], validation: Validation, *, waits: bool) -> list[str]:
    """A sentence for each of *names* whose way in *validation* differs from that in *row*. If the CSR *waits*, its ways
    wait with it. Otherwise they count from the next renewal on, and a way that does not work would stop that."""
    present = () if isinstance(row.request, Damaged) else row.request.names
    told, checks = [], f"`certfleet-issuer check {quote(row.name)}` tries it"
    for name in names:
        before, now = (_way(each.of(name)) for each in (row.validation, validation))
        if before == now:
            continue
        also = ""
        if waits and name in present:
            also = f"; until its certificate is stored, the present one is renewed by {before}"
        elif row.crt and not waits:
            also = f": {checks}, --by {quote(f'{name}={before}')} goes back"
        told.append(f"{name} is validated by {now} {'for this CSR' if waits else 'from now on'}{also}")
    return told


def way_fields(row: Enrolment) -> dict[str, Any]:
    """How the names of *row* are validated: the usual way, and exceptions. Exceptions of names that its CSR has no
    longer are left out; they count again when the names return."""
    usual, exceptions = row.validation.usual, dict(row.validation.exceptions)
    if not isinstance(row.request, Damaged):
        exceptions = {name: way for name, way in exceptions.items() if name in row.request.names}
    return {
        "validated_by": usual.way or challenge_type(usual).name,
        "webroot": usual.webroot_path or None,
        "validated_otherwise": exceptions,
    }


def way_words(fact: dict[str, Any]) -> str:
    """The :func:`way_fields` of *fact* in one line."""
    method = f"{fact['validated_by']} through {fact['webroot']}" if fact["webroot"] else str(fact["validated_by"])
    return "; ".join([method, *(f"{name} by {way}" for name, way in fact["validated_otherwise"].items())])


def _way(validation: Validation) -> str:
    """The way of one name, as --by takes it."""
    return validation.webroot_path or validation.way or DNS
