"""Events that people are told of, as values. Pure.

An event is made where something happens. Whether anybody hears of it is decided by rules/alarms.py.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from common.strict_json import made
from issuer.model.audit import Finding
from issuer.model.failure import Failure
from issuer.model.hosts import FAULTS, LOOK_THERE, HostState, Standing
from issuer.model.outcomes import Ended, Ending

_ACTION_WANTED = "acme-userActionRequired"
TABLE = "table:certs"  # the name of events about the whole table


class EventKind(Enum):
    """In the order of a mail: events that need a person come first."""

    REVOKED = "revoked"  # its CA has revoked it, and it is in use
    USER_ACTION = "user-action-required"  # the CA issues nothing until a person has acted
    FOREIGN_KEY = "foreign-key"  # somebody has a certificate for the name, with a key that is not ours
    STUCK = "stuck"  # failed ``give_up_alarm`` times in a row
    UNSEALED = "unsealed"  # its row is not what an operator enrolled
    VANISHED = "vanished"  # its row is gone, and no issuer removed it
    STRANGERS = "strangers"  # of the table: it has many rows that nobody enrolled
    UNSIGNED = "unsigned"  # its certificate is not the last one that an issuer signed
    PLANTED = "planted"  # an order under way for it was not written by an issuer
    FAILED = "failed"
    DISABLED = "disabled"  # past certfleet, and its renewal would be due
    GIVEN_UP = "given-up"  # it expired long ago, and is not tried any more
    STATEMENT_KEY = "statement-key"  # of this issuer, not of a certificate: it cannot sign statements
    ENDS_TODAY = "ends-today"  # these three: an imported one, which only a person can renew
    ENDS_THIS_WEEK = "ends-this-week"
    ENDS_SOON = "ends-soon"
    AUDIT = "audit"  # the audit found something in its certificate
    INCIDENT = "incident"  # the CA wants it replaced before its time
    CA_CHANGED = "ca-changed"
    HOST_EXPIRED = "host-expired"  # these five: a host that reports serves an expired one,
    HOST_NOT_WELL = "host-not-well"  # its agent says that it is not well,
    HOST_SILENT = "host-silent"  # it has not reported for too long,
    HOST_BEHIND = "host-behind"  # it serves an older one for too long,
    HOST_WELL = "host-well"  # or all is well there again
    ROW_WELL = "row-well"  # its row is again as it should be
    AUDIT_WELL = "audit-well"  # the audit finds nothing in its certificate any more
    RECOVERED = "recovered"

    @property
    def is_of_issuer(self) -> bool:
        """Is the *name* of its events the name of no certificate?"""
        return self in (EventKind.STATEMENT_KEY, EventKind.STRANGERS)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one certificate, *name*, or to this issuer. Times are epoch seconds, 0 where they are
    not known. *told* are the words about it, even where the event is no failure; *expires* is when the present
    certificate ends."""

    kind: EventKind
    name: str
    told: Failure = Failure("")
    at: int = 0
    next_attempt: int = 0
    expires: int = 0
    failures: int = 0
    host: str = ""  # where it happened, in an event about a host
    account: str = ""  # that reports of it
    standing: str = ""  # the sentence about that host
    contact: str = ""  # a person's words: whom to ask
    worse: bool = False  # than what was told of the same kind


def failed(name: str, failure: Failure, *, next_attempt: int = 0, failures: int = 0) -> Event:
    """An attempt failed. Where the CA waits for a person, that is the news."""
    kind = EventKind.USER_ACTION if failure.reference == _ACTION_WANTED else EventKind.FAILED
    return Event(kind, name, failure, next_attempt=next_attempt, failures=failures)


def recovered(name: str, what: str = "") -> Event:
    """The trouble about *name* is over; *what* it was, "" where that is known from the name."""
    return Event(EventKind.RECOVERED, name, Failure(what))


def row_well(name: str) -> Event:
    """The row of *name* is as it should be again, after another event about it."""
    return Event(EventKind.ROW_WELL, name)


def audit_well(name: str) -> Event:
    """The audit finds nothing in the certificate of *name* any more of what is told as :func:`audited`."""
    return Event(EventKind.AUDIT_WELL, name)


def incident(name: str) -> Event:
    """The CA asks for early replacement."""
    hint = "nothing if it is issued soon: then let the agents run, so that the new one is served"
    return Event(EventKind.INCIDENT, name, Failure("the CA wants this certificate replaced now", hint=hint))


def ends(kind: EventKind, name: str, how_to_renew: str) -> Event:
    """An imported certificate runs out; *kind* says how soon."""
    return Event(kind, name, Failure("imported, so it is not renewed by ACME", hint=how_to_renew))


_OF_ROWS = {
    Ending.UNSEALED: EventKind.UNSEALED,
    Ending.VANISHED: EventKind.VANISHED,
    Ending.UNSIGNED: EventKind.UNSIGNED,
}


def audited(name: str, found: Sequence[Finding], kind: EventKind = EventKind.AUDIT, *, worse: bool = False) -> Event:
    """The audit *found* that in the certificate of *name*, the worst first. *worse*: more than the audit before."""
    hint = "; ".join(dict.fromkeys(one.remedy for one in found))
    return Event(kind, name, Failure("; ".join(one.evidence for one in found), hint=hint), worse=worse)


def not_renewed(name: str) -> Event:
    """The renewal of *name* would be due, and it is disabled."""
    hint = "`enable` it if that was not meant; `disable` by certfleet, or `remove`, ends such notices"
    return Event(EventKind.DISABLED, name, Failure("it is disabled, so nothing renews its certificate", hint=hint))


def given_up(name: str) -> Event:
    """The certificate of *name* expired long ago, and is left from now on."""
    hint = "`issue` tries it once more; `disable` or `remove` it if nobody misses it"
    what = "it expired longer ago than give_up_after, and is not tried any more"
    return Event(EventKind.GIVEN_UP, name, Failure(what, hint=hint))


def planted(name: str) -> Event:
    """The order under way for *name* was not written by an issuer as it stood, and was ended."""
    what = "its order under way was not written by an issuer, so it was ended and not followed"
    hint = "a new order is opened when it is due; find out who writes to the table orders, or has another seal.key"
    return Event(EventKind.PLANTED, name, Failure(what, hint=hint, reference="planted-order"))


def withheld(name: str, since: str) -> Event:
    """The order under way for *name*, opened *since*, was under a lease for longer than an issuer works on one, and was
    ended."""
    what = f"its order of {since} was kept from this issuer by a lease for more than a day, so it was ended"
    hint = "a new order is opened when it is due; find out who writes to the table orders, or which issuer hangs"
    return Event(EventKind.PLANTED, name, Failure(what, hint=hint, reference="withheld-order"))


def foreign_key(name: str, what: str) -> Event:
    """Certificate Transparency shows a certificate for *name* with a key that is none of ours."""
    hint = "ask who ordered it; else have its CA revoke it, and look who can write your DNS and web pages"
    words = Failure(what, hint=f"{hint}: docs/transparency.md", reference="foreign-key")
    return Event(EventKind.FOREIGN_KEY, name, words)


def of_strangers(crowd: Failure) -> Event:
    """The table has more rows that nobody enrolled than are told one by one."""
    return Event(EventKind.STRANGERS, TABLE, crowd)


def of_statement_key(host: str, fault: Failure | None) -> Event:
    """How the key of statements of the issuer on *host* is: what is wrong with it, or nothing."""
    name = f"{host}:statement.pem"
    if fault is None:
        return recovered(name, "statements are signed again")
    what = "new certificates go out without a statement, and hosts with issuer_key do not take them"
    return Event(EventKind.STATEMENT_KEY, name, Failure(what, why=str(fault), hint=fault.hint))


_OF_HOSTS = {
    HostState.EXPIRED: EventKind.HOST_EXPIRED,
    HostState.NOT_WELL: EventKind.HOST_NOT_WELL,
    HostState.SILENT: EventKind.HOST_SILENT,
    HostState.BEHIND: EventKind.HOST_BEHIND,
}


def at_host(standing: Standing, words: str) -> Event:
    """How a host stands has changed; *words* say how it stands now."""
    name, host, account = standing.report.key
    if standing.state not in _OF_HOSTS:
        return Event(EventKind.HOST_WELL, name, host=host, account=account, standing="well again")
    told = Failure(FAULTS[standing.state], hint=LOOK_THERE)
    return Event(_OF_HOSTS[standing.state], name, told, host=host, account=account, standing=words)


def ca_changed(name: str, old: str, new: str, configured: Sequence[str]) -> Event | None:
    """The event that the certificate comes from another CA than before; None where it does not. *old* is "" if it is
    unknown, or for the first certificate. All are directory URLs, *configured* in the order in which they are tried."""
    first = configured[0]
    if new == old or (not old and new == first):
        return None
    hint = "nothing if you changed [acme] directory; its name stands in CAA records and in trust stores"
    what = f"issued by {new} instead of {old}"
    if new != first:
        hint = "look why the first CA did not deliver; its name stands in CAA records and in trust stores"
        what = f"issued by the fallback {new} instead of {old or first}"
    elif old in configured:
        what, hint = f"back at the first CA {first} after the fallback {old}", "nothing"
    return Event(EventKind.CA_CHANGED, name, Failure(what, hint=hint))


def of_ending(ended: Ended) -> Event | None:
    """The event in the end of an attempt; None without news for people."""
    if ended.ending is Ending.STORED:
        return recovered(ended.name, ended.detail)
    if ended.ending in _OF_ROWS and ended.failure is not None:
        return Event(_OF_ROWS[ended.ending], ended.name, ended.failure)
    fails = ended.ending in (Ending.FAILED, Ending.ELSEWHERE) or (ended.ending is Ending.HELD and ended.urgent)
    if fails and ended.failure is not None:
        return failed(ended.name, ended.failure, next_attempt=ended.next_attempt, failures=ended.failures)
    return None


def to_json(event: Event) -> dict[str, Any]:
    """For the outbox; :func:`from_json` reads it, also when an older or newer version wrote it."""
    facts = dataclasses.asdict(event)
    words: dict[str, Any] = facts.pop("told")
    return words | facts | {"kind": event.kind.value}


def from_json(document: dict[str, Any]) -> Event:
    """Raises KeyError, TypeError, ValueError for a document that is no event."""
    return made(Event, document | {"told": document})


def shortened(event: Event, longest: int) -> Event:
    """*event*, each of its texts cut to *longest* characters."""
    document = to_json(event)
    return from_json({key: fact[:longest] if isinstance(fact, str) else fact for key, fact in document.items()})
