"""When does an event reach people, and when does the mail go out? Pure.

An alarm is a trouble that people were told of and that has not ended. The rule: tell it when it begins, when it gets
worse and when it is over, and nothing in between.
"""

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass

from issuer.model.events import Event, EventKind
from issuer.model.moments import CLOCKS_APART

FAILURES = frozenset({EventKind.USER_ACTION, EventKind.STUCK, EventKind.FAILED})
_RUNS_OUT = frozenset({EventKind.ENDS_TODAY, EventKind.ENDS_THIS_WEEK, EventKind.ENDS_SOON})
OF_ROWS = frozenset({EventKind.UNSEALED, EventKind.STRANGERS, EventKind.VANISHED, EventKind.UNSIGNED})
TROUBLE = (
    FAILURES
    | _RUNS_OUT
    | OF_ROWS
    | {EventKind.REVOKED, EventKind.AUDIT, EventKind.DISABLED, EventKind.GIVEN_UP, EventKind.STATEMENT_KEY}
)
_COVERED_BY = {  # an alarm of one of these says it already, as an alarm of its own kind does for each
    EventKind.FAILED: FAILURES,
    EventKind.STUCK: frozenset({EventKind.STUCK, EventKind.USER_ACTION}),
    EventKind.ENDS_SOON: _RUNS_OUT,
    EventKind.ENDS_THIS_WEEK: frozenset({EventKind.ENDS_THIS_WEEK, EventKind.ENDS_TODAY}),
}
NEVER_MUTED = OF_ROWS | {  # a thief who writes to the table could mute a row, to hide these
    EventKind.PLANTED,
    EventKind.STATEMENT_KEY,
    EventKind.DISABLED,
    EventKind.FOREIGN_KEY,
    EventKind.REVOKED,
}
_NEVER_RETRACTED = frozenset({EventKind.REVOKED})  # hosts may serve it for a while, and somebody may know its key
_ENDED_BY = {
    EventKind.RECOVERED: TROUBLE,
    EventKind.ROW_WELL: OF_ROWS,
    EventKind.AUDIT_WELL: frozenset({EventKind.AUDIT}),
}
QUIET_SECONDS = 60  # a mail goes out this long after the last event,
MAIL_SECONDS = 600  # but never sooner than this after the mail before, and no later than this after the first event


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """The effect of one event: the certificate's *alarms* from now on; whether anything *changed*; whether a *mail*
    tells it; and the kinds to *retract*, which are over before any mail carried them."""

    alarms: frozenset[EventKind]
    changed: bool
    mail: bool
    retract: frozenset[EventKind] = frozenset()


def weigh(event: Event, alarms: Collection[EventKind], unsaid: Collection[EventKind]) -> AlarmChange:
    """Weigh *event*, which is of no host, against the *alarms* of its certificate; *unsaid* are those that no mail has
    carried yet."""
    present = frozenset(alarms)
    if event.kind in _ENDED_BY:
        over = _ENDED_BY[event.kind]
        left = present - over
        if event.kind is EventKind.RECOVERED:  # the new certificate may have the same fault: its audit says so
            lasting = frozenset({EventKind.AUDIT}) - frozenset(unsaid)
            over, left = over - lasting, present & lasting
        trouble = present & over
        retract = frozenset(unsaid) & over - _NEVER_RETRACTED
        return AlarmChange(left, bool(trouble), mail=bool(trouble - retract), retract=retract)
    if event.kind in (EventKind.CA_CHANGED, EventKind.FOREIGN_KEY):
        return AlarmChange(present, changed=True, mail=True)
    new = event.worse or not present & _COVERED_BY.get(event.kind, {event.kind})
    return AlarmChange(present | {event.kind}, new, mail=new)


def is_passed_over(event: Event, *, silent: bool) -> bool:
    """Is *event* left alone because no mail is to tell of its certificate (*silent*)? It is told after that if it is
    still true. The end of a trouble is noted all the same."""
    return silent and event.kind not in (*NEVER_MUTED, *_ENDED_BY)


def is_mailed(event: Event, *, silent: bool) -> bool:
    """May a mail tell *event*?"""
    return not silent or event.kind in NEVER_MUTED


def graded(event: Event, stuck_after: int) -> Event:
    """A failure that came *stuck_after* times in a row becomes a stuck certificate."""
    if event.kind is EventKind.FAILED and event.failures >= stuck_after:
        return dataclasses.replace(event, kind=EventKind.STUCK)
    return event


def mail_moment(first: float, last: float, previous_mail: float, now: float) -> float:
    """When the mail about unsaid events goes out (epoch seconds). They came between *first* and *last*. A moment far
    ahead of *now* was written by a clock that was wrong: nothing waits for it."""
    latest = now + CLOCKS_APART
    first, last, previous_mail = (moment if moment <= latest else 0 for moment in (first, last, previous_mail))
    quiet = min(last + QUIET_SECONDS, first + MAIL_SECONDS)
    return max(quiet, previous_mail + MAIL_SECONDS)
