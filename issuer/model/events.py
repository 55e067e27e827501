"""What people are told about, as values. Pure.

An event is made where something happens and says nothing about whether anybody hears of it: rules.py decides that.
"""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from issuer.model.outcomes import Ended, Ending

_URL = re.compile(r"https?://[^\s<>\"'()]{1,500}")
_ACTION_WANTED = "acme-userActionRequired"


class Kind(Enum):
    """The order is that of a mail: what wants a person comes first."""

    USER_ACTION = "user-action-required"  # the CA waits for a person; nothing is issued until then
    STUCK = "stuck"  # failed ``give_up_alarm`` times in a row
    FAILED = "failed"
    ENDS_TODAY = "ends-today"  # these three: an imported one, that only a person can renew
    ENDS_THIS_WEEK = "ends-this-week"
    ENDS_SOON = "ends-soon"
    INCIDENT = "incident"  # the CA wants it replaced before its time
    CA_CHANGED = "ca-changed"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one certificate. Times are epoch seconds, 0 where they are not known.

    *name* is the certificate's; *reference* the kind of a failure; *expires* when the present certificate ends.
    """

    kind: Kind
    name: str
    what: str = ""
    hint: str = ""
    url: str = ""
    reference: str = ""
    at: int = 0
    next_attempt: int = 0
    expires: int = 0
    failures: int = 0


def failed(name: str, what: str, *, hint: str = "", reference: str = "", next_attempt: int = 0) -> Event:
    return Event(Kind.FAILED, name, what, hint, reference=reference, next_attempt=next_attempt)


def recovered(name: str, what: str = "") -> Event:
    return Event(Kind.RECOVERED, name, what)


def incident(name: str, url: str = "") -> Event:
    """The CA asks for early replacement; *url* is its explanation."""
    hint = "nothing if it is issued soon: then let the agents run, so that the new one is served"
    return Event(Kind.INCIDENT, name, "the CA wants this certificate replaced now", hint, url)


def ends(kind: Kind, name: str) -> Event:
    """An imported certificate runs out; *kind* says how soon."""
    hint = "renew it where it was bought, then `certfleet-issuer import` it"
    return Event(kind, name, "imported, so it is not renewed by ACME", hint)


def ca_changed(name: str, old: str, new: str, configured: Sequence[str]) -> Event | None:
    """What to tell of a certificate from *new*, after one from *old* ("" if unknown, or the first one ever); None where
    that is nothing new. All are directory URLs, *configured* in the order in which they are tried."""
    first = configured[0]
    if new == old or (not old and new == first):
        return None
    if new != first:
        hint = "look why the first CA did not deliver; its name stands in CAA records and in trust stores"
        return Event(Kind.CA_CHANGED, name, f"issued by the fallback {new} instead of {old or first}", hint)
    if old in configured:
        return Event(Kind.CA_CHANGED, name, f"back at the first CA {first} after the fallback {old}", "nothing")
    hint = "nothing if you changed [acme] directory; its name stands in CAA records and in trust stores"
    return Event(Kind.CA_CHANGED, name, f"issued by {new} instead of {old}", hint)


def user_action_required(name: str, what: str, url: str) -> Event:
    return Event(Kind.USER_ACTION, name, what, "open the address and do what the CA asks", url)


def of_ending(ended: Ended) -> Event | None:
    """The event in the end of an attempt; None when there is nothing in it for people."""
    if ended.ending is Ending.STORED:
        return recovered(ended.name, ended.detail)
    if ended.ending is not Ending.FAILED or ended.failure is None:
        return None
    what = str(ended.failure)
    if ended.reference == _ACTION_WANTED:
        found = _URL.search(what)
        event = user_action_required(ended.name, what, found.group().rstrip(".,;:") if found else "")
    else:
        event = failed(ended.name, what, hint=ended.failure.hint)
    return dataclasses.replace(
        event, reference=ended.reference, next_attempt=ended.next_attempt, failures=ended.failures
    )


def to_json(event: Event) -> dict[str, Any]:
    """For the outbox; :func:`from_json` reads it, also one that an older or newer version has written."""
    return dataclasses.asdict(event) | {"kind": event.kind.value}


def from_json(document: dict[str, Any]) -> Event:
    known = {field.name for field in dataclasses.fields(Event)}
    values = {key: value for key, value in document.items() if key in known}
    return Event(**values | {"kind": Kind(values["kind"])})
