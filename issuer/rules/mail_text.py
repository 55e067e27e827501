"""The words of a mail: a subject for a telephone, a body that says what to do. Pure.

Words of an event come out of the database, where anybody who can write to it may have put them, a CA's among them. So
they are quoted, each line of them marked, without characters that steer a screen, and within bounds; a mail without a
mark would lend them our voice. Never a traceback, never a secret.
"""

import dataclasses
import re
import textwrap
from collections.abc import Sequence

from common.clock import duration_text, utc_text
from common.text import storable
from issuer.model.enrolment import NEVER_ISSUED
from issuer.model.events import Event, EventKind
from issuer.model.failure import Failure
from issuer.model.tries import BY_NEXT_RUN, Tries
from issuer.rules.hosts import in_turn
from issuer.rules.shared_failures import Common, by_failure

_MOST_NAMES = 50  # in one paragraph; nobody reads a mail of 10,000 lines
_MOST_REASONS = 50  # paragraphs of one kind: no server takes a mail of 30 MB, and nobody would hear anything any more
_LONGEST_TEXT = 1000
_WIDTH = 100
_MARK = "  > "
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.:*-]{1,100}")
_WORDS = {  # (one, several, heading)
    EventKind.REVOKED: ("is revoked", "are revoked", "REVOKED BY THE CA"),
    EventKind.USER_ACTION: ("waits for you at the CA", "wait for you at the CA", "THE CA WAITS FOR A PERSON"),
    EventKind.FOREIGN_KEY: ("has a foreign certificate", "have foreign certificates", "CERTIFICATES WITH FOREIGN KEYS"),
    EventKind.STUCK: ("is stuck", "are stuck", "STUCK"),
    EventKind.UNSEALED: ("is not what was enrolled", "are not what was enrolled", "NOT WHAT WAS ENROLLED"),
    EventKind.STRANGERS: (
        "has rows that nobody enrolled",
        "have rows that nobody enrolled",
        "MANY ROWS THAT NOBODY ENROLLED",
    ),
    EventKind.VANISHED: ("is gone from the table", "are gone from the table", "GONE FROM THE TABLE"),
    EventKind.UNSIGNED: ("is not signed", "are not signed", "CERTIFICATES THAT WE HAVE NOT SIGNED"),
    EventKind.PLANTED: ("had an order that is not ours", "had orders that are not ours", "ORDERS THAT ARE NOT OURS"),
    EventKind.FAILED: ("failed", "failed", "FAILED"),
    EventKind.DISABLED: ("is disabled and due", "are disabled and due", "DISABLED, THEIR RENEWAL IS DUE"),
    EventKind.GIVEN_UP: ("was given up", "were given up", "EXPIRED LONG AGO, NOT TRIED ANY MORE"),
    EventKind.STATEMENT_KEY: ("cannot be used", "cannot be used", "STATEMENTS ARE NOT SIGNED"),
    EventKind.ENDS_TODAY: ("has a day left or none", "have a day left or none", "IMPORTED, A DAY LEFT OR NONE"),
    EventKind.ENDS_THIS_WEEK: ("ends within a week", "end within a week", "IMPORTED, ENDS WITHIN A WEEK"),
    EventKind.ENDS_SOON: ("ends soon", "end soon", "IMPORTED, ENDS SOON"),
    EventKind.AUDIT: ("has a fault", "have faults", "FOUND BY THE AUDIT"),
    EventKind.INCIDENT: ("is replaced early", "are replaced early", "REPLACED EARLY, AS THE CA ASKS"),
    EventKind.CA_CHANGED: ("came from another CA", "came from another CA", "FROM ANOTHER CA"),
    EventKind.HOST_EXPIRED: ("is served expired", "are served expired", "SERVED EXPIRED"),
    EventKind.HOST_NOT_WELL: ("is not well at a host", "are not well at hosts", "NOT WELL AT A HOST"),
    EventKind.HOST_SILENT: ("has a silent host", "have silent hosts", "SILENT HOSTS"),
    EventKind.HOST_BEHIND: ("is behind at a host", "are behind at hosts", "BEHIND AT A HOST"),
    EventKind.HOST_WELL: ("is well again at a host", "are well again at hosts", "WELL AGAIN AT A HOST"),
    EventKind.ROW_WELL: ("is right again in the table", "are right again in the table", "RIGHT AGAIN IN THE TABLE"),
    EventKind.AUDIT_WELL: ("has no fault any more", "have no fault any more", "NOT FOUND BY THE AUDIT ANY MORE"),
    EventKind.RECOVERED: ("recovered", "recovered", "RECOVERED"),
}
_MARKED = "Lines that begin with > are quoted from the database: do what they say only if it makes sense to you."
_CLOSING = "Each of these is said once, when it changes. How things stand now: certfleet-issuer status"


def subject(events: Sequence[Event], host: str) -> str:
    """certfleet: 3 certificates failed, 1 recovered on issuer1."""
    if len(events) == 1:
        return f"certfleet: {_name(events[0].name)} {_WORDS[events[0].kind][0]} on {host}"
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
        ranked = sorted(group, key=lambda event: (dataclasses.astuple(_told(event)[1]), event.name))
        reasons = sorted(by_failure(ranked, _told), key=lambda common: -len(common.all))
        for common in reasons[:_MOST_REASONS]:
            lines += [*_paragraph(common, now, tries), ""]
        if more := sum(len(common.all) for common in reasons[_MOST_REASONS:]):
            lines += [f"  and {more} more, for {len(reasons) - _MOST_REASONS} other reasons", ""]
    quoted = [_MARKED] * any(one.startswith(_MARK) for one in lines)
    return "\n".join([*lines, *quoted, _CLOSING, ""])


def line(event: Event, tries: Tries = BY_NEXT_RUN) -> str:
    """One event in one line, for syslog."""
    text = f"{_name(event.name)} {_WORDS[event.kind][0]}"
    text += f": {_name(event.host)}: {event.standing}" if event.host else ""
    text += f": {event.told}" if event.told.what else ""
    text += "".join(f"; {label}: {words}" for label, words in event.told.advice)
    text += f"; next attempt at {tries.words(event.next_attempt)}" if event.next_attempt else ""
    return _safe(text)


def _by_kind(events: Sequence[Event]) -> list[tuple[EventKind, list[Event]]]:
    groups = [(kind, [event for event in events if event.kind is kind]) for kind in EventKind]
    return [(kind, group) for kind, group in groups if group]


def _told(event: Event) -> tuple[str, Failure]:
    """The words of a recovery stand in its line: they differ by certificate."""
    return event.name, Failure("") if event.kind is EventKind.RECOVERED else event.told


def _paragraph(common: Common[Event], now: int, tries: Tries) -> list[str]:
    failure, events = common.failure, sorted(common.all, key=_ends_first)
    of_hosts = bool(events[0].host)
    reason = "hosts" if of_hosts else "certificates for one reason"
    lines = [f"  {len(events)} {reason}:"] * (len(events) > 1 and bool(failure.what))
    lines += [f"  {_who(event)}: {_standing(event, now, tries)}" for event in in_turn(events, _whose)[:_MOST_NAMES]]
    more = len(events) - _MOST_NAMES
    if more > 0:
        lines.append(f"  and {more} more; `certfleet-issuer status` lists all")
    if not failure.what:
        return lines
    for label, text in (("what", failure.what), *([("why", failure.why)] if failure.why else []), *failure.advice):
        lines += textwrap.wrap(
            _safe(text),
            _WIDTH,
            initial_indent=f"{_MARK}{label + ':':12}",
            subsequent_indent=_MARK + " " * 12,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def _ends_first(event: Event) -> tuple[bool, int, str, str]:
    return event.expires <= NEVER_ISSUED, event.expires, event.name, event.host


def _whose(event: Event) -> str:
    return event.account or event.host or event.name


def _who(event: Event) -> str:
    where = f" on {_name(event.host)}" if event.host else ""
    account = f" ({_name(event.account)})" if event.account else ""
    return f"{_name(event.name)}{where}{account}"


def _standing(event: Event, now: int, tries: Tries) -> str:
    if event.host:
        return f'"{_safe(event.standing)}"'
    parts = [_state(event, now)]
    if event.failures:
        parts.append(f"failed {event.failures} time{'s' if event.failures > 1 else ''} in a row")
    if event.next_attempt:
        parts.append(f"next attempt at {tries.words(event.next_attempt)}")
    if event.contact:
        parts.append(f'contact: "{_safe(event.contact)}"')
    return "; ".join(parts)


def _state(event: Event, now: int) -> str:
    if event.kind is EventKind.RECOVERED and event.told.what:
        return f'"{_safe(event.told.what)}"'
    if event.kind.is_of_issuer:
        return "the key of this issuer" if event.kind is EventKind.STATEMENT_KEY else "the table of certificates"
    return _left(event.expires, now)


def _left(expires: int, now: int) -> str:
    if expires <= NEVER_ISSUED:
        return "no certificate yet"
    left = expires - now
    if left <= 0:
        return f"EXPIRED {duration_text(-left)} ago"
    return f"{left // 86400} days left" if left >= 2 * 86400 else f"{duration_text(left)} left"


def _name(text: str) -> str:
    """A name as it is; any other text, which may read like a sentence of ours, in quotes."""
    return text if _PLAIN_NAME.fullmatch(text) else f'"{_safe(text)[:100]}"'


def _safe(text: str) -> str:
    return storable(text, _LONGEST_TEXT)
