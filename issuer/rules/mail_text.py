"""The words of a mail: a subject for a telephone, a body that says what to do. Pure.

Words of an event may come from a CA or a legacy table, so they are printed without control characters and within
bounds. Never a traceback, never a secret.
"""

import textwrap
from collections.abc import Iterable, Sequence
from itertools import groupby

from common.clock import duration_text, utc_text
from common.text import storable
from issuer.model.enrolment import NEVER_ISSUED
from issuer.model.events import Event, EventKind

_MOST_NAMES = 50  # in one paragraph; nobody reads a mail of 10,000 lines
_LONGEST_TEXT = 1000
_WIDTH = 100
_WORDS = {  # (one, several, heading)
    EventKind.USER_ACTION: ("waits for you at the CA", "wait for you at the CA", "THE CA WAITS FOR A PERSON"),
    EventKind.STUCK: ("is stuck", "are stuck", "STUCK"),
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


def body(events: Sequence[Event], host: str, now: int) -> str:
    """A section for each kind, a paragraph for each explanation, a line for each certificate."""
    lines = [f"certfleet on {host}, {utc_text(now)}", ""]
    for kind, group in _by_kind(events):
        lines += [f"{_WORDS[kind][2]} ({len(group)})", ""]
        for _, paragraph in groupby(sorted(group, key=_explanation), key=_explanation):
            lines += [*_paragraph(list(paragraph), now), ""]
    return "\n".join([*lines, _CLOSING, ""])


def line(event: Event) -> str:
    """One event in one line, for syslog."""
    text = f"{event.name} {_WORDS[event.kind][0]}"
    text += f": {event.told}" if event.what else ""
    text += "".join(f"; {label}: {words}" for label, words in event.told.advice)
    text += f"; next attempt at {utc_text(event.next_attempt)}" if event.next_attempt else ""
    return _safe(text)


def _by_kind(events: Iterable[Event]) -> list[tuple[EventKind, list[Event]]]:
    found: dict[EventKind, list[Event]] = {kind: [] for kind in EventKind}
    for event in events:
        found[event.kind].append(event)
    return [(kind, group) for kind, group in found.items() if group]


def _explanation(event: Event) -> list[tuple[str, str]]:
    """(label, text) of a paragraph. The words of a recovery stand in its line: they differ by certificate."""
    if event.kind is EventKind.RECOVERED:
        return []
    return [("what", event.what), *([("why", event.why)] if event.why else []), *event.told.advice]


def _paragraph(events: list[Event], now: int) -> list[str]:
    lines = [f"  {_safe(event.name)}: {_standing(event, now)}" for event in sorted(events, key=lambda e: e.name)]
    more = len(lines) - _MOST_NAMES
    if more > 0:
        lines = [*lines[:_MOST_NAMES], f"  and {more} more; `certfleet-issuer status` lists all"]
    for label, text in _explanation(events[0]):
        lines += textwrap.wrap(
            _safe(text),
            _WIDTH,
            initial_indent=f"    {label + ':':12}",
            subsequent_indent=" " * 16,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def _standing(event: Event, now: int) -> str:
    parts = [_safe(event.what)] if event.kind is EventKind.RECOVERED and event.what else [_left(event.expires, now)]
    if event.failures:
        parts.append(f"failed {event.failures} time{'s' if event.failures > 1 else ''} in a row")
    if event.next_attempt:
        parts.append(f"next attempt at {utc_text(event.next_attempt)}")
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
