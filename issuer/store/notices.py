"""What people were told (``alarms``) and what is still to be sent (``outbox``). One method, one transaction.

An alarm stands from the first word about a trouble to its end, so that it is said once however many runs it lasts. The
outbox holds each event until a mail server has taken it, so that no crash and no outage loses one.
"""

import dataclasses
import json
from collections.abc import Iterable, Sequence

import sqlalchemy as sa
import structlog

from issuer.model.events import Event, EventKind, from_json, recovered, to_json
from issuer.rules.alarms import graded, weigh
from issuer.store.cells import believable, known
from issuer.store.database import Database, portions
from issuer.store.tables import alarms, certs, outbox

log = structlog.get_logger()
_TAKEN_SECONDS = 600


class Notices:
    """All reading and writing of alarms and outbox."""

    def __init__(self, database: Database):
        self._database = database

    def settle(
        self, events: Sequence[Event], *, stuck_after: int, by_mail: bool, now: int, others: bool
    ) -> list[Event]:
        """Weigh *events* against what was told before; what is to be mailed goes to the outbox. Returns what changed.

        With *others* certificates that got well behind our back (another issuer, a command by hand) are noticed too.
        """
        return self._database.write(
            lambda connection: _settle(connection, events, stuck_after, by_mail, now, others=others)
        )

    def unsent(self, now: int) -> tuple[int, int] | None:
        """(first, last) moment of what nobody delivers just now; None when that is nothing."""
        query = sa.select(sa.func.count(), sa.func.min(outbox.c.at), sa.func.max(outbox.c.at)).where(_free(now))
        row = self._database.read(lambda connection: connection.execute(query).one())
        return (row[1] or 0, row[2] or 0) if row[0] else None

    def take(self, delivery: str, now: int) -> list[Event]:
        """Everything unsent, for one *delivery*; another issuer leaves it alone for ten minutes."""
        taken = outbox.update().where(_free(now)).values(taken_by=delivery, taken_until=now + _TAKEN_SECONDS)
        self._database.write(lambda connection: connection.execute(taken))
        query = sa.select(outbox.c.content).where(outbox.c.taken_by == delivery).order_by(outbox.c.id)
        rows = self._database.read(lambda connection: list(connection.scalars(query)))
        return [event for event in map(_read, rows) if event is not None]

    def sent(self, delivery: str) -> None:
        """A mail server has taken what was taken."""
        gone = outbox.delete().where(outbox.c.taken_by == delivery)
        self._database.write(lambda connection: connection.execute(gone))

    def give_back(self, delivery: str) -> None:
        """It could not be delivered now."""
        free = outbox.update().where(outbox.c.taken_by == delivery).values(taken_by=None, taken_until=None)
        self._database.write(lambda connection: connection.execute(free))


def _read(content: str) -> Event | None:
    """None, with a warning, for what cannot be understood: it goes with the next mail, rather than being in its way."""
    try:
        return from_json(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("notification.unreadable", error=type(error).__name__)
        return None


def _settle(
    connection: sa.Connection, told: Sequence[Event], stuck_after: int, by_mail: bool, now: int, *, others: bool
) -> list[Event]:
    names = {event.name for event in told}
    standing = _standing(connection, None if others else names)
    if others:
        told = [*told, *_recovered_elsewhere(connection, standing, names)]
        names = {event.name for event in told}
    unsaid, facts = _unsaid(connection, names), _facts(connection, names)
    after = {name: frozenset(standing.get(name, ())) for name in names}
    retracted: set[tuple[str, EventKind]] = set()
    letters: list[Event] = []
    changed: list[Event] = []
    for bare in told:
        event = graded(_completed(bare, facts.get(bare.name), now), stuck_after)
        change = weigh(event, after[event.name], unsaid.get(event.name, frozenset()))
        after[event.name] = change.alarms
        if change.retract:
            letters = [letter for letter in letters if letter.name != event.name or letter.kind not in change.retract]
            retracted |= {(event.name, kind) for kind in change.retract}
        if change.mail and by_mail:
            letters.append(event)
            unsaid[event.name] = unsaid.get(event.name, frozenset()) | {event.kind}
        if change.changed:
            changed.append(event)
    _keep_alarms(connection, standing, after, now)
    _keep_outbox(connection, retracted, letters, now)
    return changed


def _completed(event: Event, facts: tuple[int, int, str] | None, now: int) -> Event:
    """With what the database knows of the certificate."""
    expires, failures, url = facts or (0, 0, "")
    url = event.url or (url if event.kind is EventKind.INCIDENT else "")
    return dataclasses.replace(event, at=now, expires=expires, failures=event.failures or failures, url=url)


def _standing(connection: sa.Connection, names: Iterable[str] | None) -> dict[str, dict[EventKind, int]]:
    """The alarms of *names*, or all: name → kind → since. Few rows: only what is in trouble has any."""
    query = sa.select(alarms.c.name, alarms.c.kind, alarms.c.since)
    queries = [query] if names is None else [query.where(alarms.c.name.in_(some)) for some in portions(names)]
    found: dict[str, dict[EventKind, int]] = {}
    for each in queries:
        for name, value, since in connection.execute(each):
            if name and (kind := known(EventKind, value, alarms.name, name)) is not None:
                found.setdefault(name, {})[kind] = since or 0
    return found


def _recovered_elsewhere(
    connection: sa.Connection, standing: dict[str, dict[EventKind, int]], told: set[str]
) -> list[Event]:
    """A certificate stored since its alarm is well, whoever stored it. Alarms of removed certificates are dropped."""
    events = []
    for names in portions(set(standing) - told):
        query = sa.select(certs.c.name, certs.c.ts_last_update).where(certs.c.name.in_(names))
        stored = {row[0]: row[1] or 0 for row in connection.execute(query)}
        gone = [name for name in names if name not in stored]
        connection.execute(alarms.delete().where(alarms.c.name.in_(gone)))
        connection.execute(outbox.delete().where(outbox.c.name.in_(gone), outbox.c.taken_by.is_(None)))
        events += [recovered(name) for name in stored if stored[name] > max(standing[name].values())]
    return events


def _unsaid(connection: sa.Connection, names: Iterable[str]) -> dict[str, frozenset[EventKind]]:
    """Kinds that stand in the outbox, by name."""
    found: dict[str, frozenset[EventKind]] = {}
    for some in portions(names):
        waiting = sa.select(outbox.c.name, outbox.c.kind).where(outbox.c.name.in_(some), outbox.c.taken_by.is_(None))
        for name, value in connection.execute(waiting):
            if (kind := known(EventKind, value, outbox.name, name)) is not None:
                found[name] = found.get(name, frozenset()) | {kind}
    return found


def _facts(connection: sa.Connection, names: Iterable[str]) -> dict[str, tuple[int, int, str]]:
    """(end of the present certificate, failures in a row, the CA's explanation of an early window), by name."""
    columns = (certs.c.name, certs.c.ts_expire, certs.c.count_fail_update, certs.c.ari_url)
    found: dict[str, tuple[int, int, str]] = {}
    for some in portions(names):
        rows = connection.execute(sa.select(*columns).where(certs.c.name.in_(some)))
        found |= {row[0]: (row[1] or 0, row[2] or 0, row[3] or "") for row in rows}
    return found


def _keep_alarms(
    connection: sa.Connection,
    standing: dict[str, dict[EventKind, int]],
    after: dict[str, frozenset[EventKind]],
    now: int,
) -> None:
    fresh = []
    for name, kinds in after.items():
        before = frozenset(standing.get(name, ()))
        ended = [kind.value for kind in before - kinds]
        if ended:
            connection.execute(alarms.delete().where(alarms.c.name == name, alarms.c.kind.in_(ended)))
        fresh += [{"name": name, "kind": kind.value, "since": now} for kind in kinds - before]
    if fresh:
        connection.execute(alarms.insert(), fresh)


def _keep_outbox(
    connection: sa.Connection, retracted: Iterable[tuple[str, EventKind]], letters: Iterable[Event], now: int
) -> None:
    for name, kind in retracted:
        old = sa.and_(outbox.c.name == name, outbox.c.kind == kind.value, outbox.c.taken_by.is_(None))
        connection.execute(outbox.delete().where(old))
    rows = [
        {"at": now, "name": event.name, "kind": event.kind.value, "content": json.dumps(to_json(event))}
        for event in letters
    ]
    if rows:
        connection.execute(outbox.insert(), rows)


def _free(now: int) -> sa.ColumnElement[bool]:
    return sa.or_(outbox.c.taken_until.is_(None), sa.not_(believable(outbox.c.taken_until, now, _TAKEN_SECONDS)))
