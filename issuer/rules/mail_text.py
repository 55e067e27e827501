"""The words of a mail: a subject for a telephone, a body that says what to do. Pure.

Words of an event may come from a CA or a legacy table, so they are printed without control characters and within
bounds. Never a traceback, never a secret.
"""

import dataclasses
import textwrap
from collections.abc import Iterable, Sequence

from common.clock import duration_text, utc_text
from common.text import storable
from issuer.model.enrolment import NEVER_ISSUED
from issuer.model.events import Event, EventKind
from issuer.model.failure import Failure
from issuer.model.tries import BY_NEXT_RUN, Tries
from issuer.rules.shared_failures import Common, by_failure

_MOST_NAMES = 50  # in one paragraph; nobody reads a mail of 10,000 lines
_LONGEST_TEXT = 1000
_WIDTH = 100
_WORDS = {  # (one, several, heading)
    EventKind.USER_ACTION: ("waits for you at the CA", "wait for you at the CA", "THE CA WAITS FOR A PERSON"),
    EventKind.STUCK: ("is stuck", "are stuck", "STUCK"),
    EventKind.UNSEALED: ("is not what was enrolled", "are not what was enrolled", "NOT WHAT WAS ENROLLED"),
    EventKind.FAILED: ("failed", "failed", "FAILED"),
    EventKind.ENDS_TODAY: ("has a day left or none", "have a day left or none", "IMPORTED, A DAY LEFT OR NONE"),
    EventKind.ENDS_THIS_WEEK: ("ends within a week", "end within a week", "IMPORTED, ENDS WITHIN A WEEK"),
    EventKind.ENDS_SOON: ("ends soon", "end soon", "IMPORTED, ENDS SOON"),
    EventKind.INCIDENT: ("is replaced early", "are replaced early", "REPLACED EARLY, AS THE CA ASKS"),
    EventKind.CA_CHANGED: ("came from another CA", "came from another CA", "FROM ANOTHER CA"),
    EventKind.RECOVERED: ("recovered", "recovered", "RECOVERED"),
}
_CLOSING = "Each of these is said once, when it changes. How things stand now: certfleet-issuer status"


def subject(events: Sequence[Event], host: str) -> str:
    """certfleet: 3 certificates failed, 1 recovered on issuer1."""
    if len(events) == 1:
        return f"certfleet: {_safe(events[0].name)[:100]} {_WORDS[events[0].kind][0]} on {host}"
    parts: list[str] = []
    for kind, group in _by_kind(events):
        count = len({event.name for event in group})
        noun = "" if parts else " certificates" if count > 1 else " certificate"
        parts.append(f"{count}{noun} {_WORDS[kind][1 if count > 1 else 0]}")
    return f"certfleet: {', '.join(parts)} on {host}"


def body(events: Sequence[Event], host: str, now: int, tries: Tries = BY_NEXT_RUN) -> str:
    """A section for each kind, a paragraph for each failure, a line for each certificate. *tries*: who makes the next
    attempts."""
    lines = [f"certfleet on {host}, {utc_text(now)}", ""]
    for kind, group in _by_kind(events):
        lines += [f"{_WORDS[kind][2]} ({len(group)})", ""]
        for common in by_failure(sorted(group, key=_sorted), _told):
            lines += [*_paragraph(common, now, tries), ""]
    return "\n".join([*lines, _CLOSING, ""])


def line(event: Event, tries: Tries = BY_NEXT_RUN) -> str:
    """One event in one line, for syslog."""
    text = f"{event.name} {_WORDS[event.kind][0]}"
    text += f": {event.told}" if event.what else ""
    text += "".join(f"; {label}: {words}" for label, words in event.told.advice)
    text += f"; next attempt at {tries.words(event.next_attempt)}" if event.next_attempt else ""
    return _safe(text)


def _by_kind(events: Iterable[Event]) -> list[tuple[EventKind, list[Event]]]:
    found: dict[EventKind, list[Event]] = {kind: [] for kind in EventKind}
    for event in events:
        found[event.kind].append(event)
    return [(kind, group) for kind, group in found.items() if group]


def _sorted(event: Event) -> tuple[tuple[str, ...], str]:
    return dataclasses.astuple(_told(event)[1]), event.name


def _told(event: Event) -> tuple[str, Failure]:
    """The words of a recovery stand in its line: they differ by certificate."""
    return event.name, Failure("") if event.kind is EventKind.RECOVERED else event.told


def _paragraph(common: Common[Event], now: int, tries: Tries) -> list[str]:
    failure, events = common.failure, sorted(common.all, key=lambda event: event.name)
    lines = [f"  {len(events)} certificates for one reason:"] * (len(events) > 1 and bool(failure.what))
    lines += [f"  {_safe(event.name)}: {_standing(event, now, tries)}" for event in events[:_MOST_NAMES]]
    more = len(events) - _MOST_NAMES
    if more > 0:
        lines.append(f"  and {more} more; `certfleet-issuer status` lists all")
    if not failure.what:
        return lines
    for label, text in (("what", failure.what), *([("why", failure.why)] if failure.why else []), *failure.advice):
        lines += textwrap.wrap(
            _safe(text),
            _WIDTH,
            initial_indent=f"    {label + ':':12}",
            subsequent_indent=" " * 16,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def _standing(event: Event, now: int, tries: Tries) -> str:
    parts = [_safe(event.what)] if event.kind is EventKind.RECOVERED and event.what else [_left(event.expires, now)]
    if event.failures:
        parts.append(f"failed {event.failures} time{'s' if event.failures > 1 else ''} in a row")
    if event.next_attempt:
        parts.append(f"next attempt at {tries.words(event.next_attempt)}")
    return "; ".join(parts)


def _left(expires: int, now: int) -> str:
    if expires <= NEVER_ISSUED:
        return "no certificate yet"
    left = expires - now
    if left <= 0:
        return f"EXPIRED {duration_text(-left)} ago"
    return f"{left // 86400} days left" if left >= 2 * 86400 else f"{duration_text(left)} left"


def _safe(text: str) -> str:
    return storable(text, _LONGEST_TEXT)
