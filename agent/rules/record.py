"""A result as the state folder keeps it between runs, and how long a refused certificate waits."""

from collections.abc import Mapping
from typing import Any

from agent.model.result import LONGEST_BACK_OFF, Refusal, Result
from common.strict_json import document_of, made

_BACK_OFF = (3600, 6 * 3600, LONGEST_BACK_OFF)  # seconds until it is tried again: once, twice, every further time
_MOST_REMEMBERED = 50  # leaves: of several years
_NOT_KEPT = frozenset({"outdated", "changed", "at_fault", "alone", "ran_on", "ended", "notes"})


def back_off(previous: Refusal | None, sha256: str, now: float) -> tuple[int, int]:
    """Number of this attempt at the certificate with *sha256*, and the moment of the next one in epoch seconds: later
    each time."""
    attempts = previous.attempts + 1 if previous is not None and previous.sha256 == sha256 else 1
    return attempts, int(now) + _BACK_OFF[min(attempts, len(_BACK_OFF)) - 1]


def remembered(before: Result, sha256: str) -> tuple[str, ...]:
    """The leaves that were installed here, with the one that is now."""
    was = (before.installed.sha256,) if before.installed is not None else ()
    return tuple(dict.fromkeys((sha256, *was, *before.past)))[:_MOST_REMEMBERED]


def to_document(result: Result) -> dict[str, Any]:
    """Texts, numbers and dictionaries, for JSON."""
    document = {name: value for name, value in document_of(result).items() if name not in _NOT_KEPT}
    return document | {"changed_at": document.pop("since")}


def from_document(document: Mapping[str, Any]) -> Result:
    """The result in *document*; KeyError, TypeError or ValueError if it is none."""
    kept = {name: value for name, value in document.items() if name not in _NOT_KEPT}
    return made(Result, kept | {"since": document["changed_at"]})
