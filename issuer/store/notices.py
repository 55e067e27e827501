"""The troubles that people were told of (``alarms``) and the mail to be sent (``outbox``). One method, one transaction.

An alarm stands from the first notice about a trouble to its end, so that each trouble is told once, however many runs
it lasts. The outbox keeps each event until a mail server has accepted it, so that no crash and no outage loses one.
"""

import dataclasses
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
import structlog

from common.chunks import chunks
from common.strict_json import parse_json
from issuer.model.enrolment import end_of
from issuer.model.events import Event, EventKind, at_host, from_json, recovered, row_well, shortened, to_json
from issuer.model.hosts import HostState, Standing
from issuer.model.moments import CLOCKS_APART
from issuer.rules.alarms import FAILURES, OF_ROWS, graded, is_mailed, is_passed_over, weigh
from issuer.rules.hosts import is_still_behind, words
from issuer.store.cells import LONGEST_TOLD, believable, known
from issuer.store.database import Database, rows_of
from issuer.store.hosts import details_of
from issuer.store.rows import WATCH, watch_of
from issuer.store.tables import alarms, certs, host_alarms, is_enabled, outbox

log = structlog.get_logger()
_TAKEN_SECONDS = 600
_MOST_TAKEN = 10_000  # events in one mail; the others wait for the next one
_AT_ONCE = 500  # names in one statement
_MOST_NEWS = 1000  # about hosts, in one transaction
_OF_CERTIFICATE = ("name", "crt", "ts_expire", "imported", "count_fail_update", "ari_url", *WATCH)
_CERTIFICATE = sa.select(*(certs.c[column] for column in _OF_CERTIFICATE))


class Notices:
    """Moments are epoch seconds. Each way to settle compares what is told with what people were told before, updates
    that, adds mail to the outbox if people get news *by_mail*, and returns what is new. *stuck_after*: how many
    failures in a row make a certificate stuck. Every method raises StoreError."""

    def __init__(self, database: Database, *, stuck_after: int, by_mail: bool):
        self._database = database
        self._stuck_after = stuck_after
        self._by_mail = by_mail

    def settle(self, events: Sequence[Event], now: int, *, others: bool) -> list[Event]:
        """By *events*. With *others*, certificates that recovered elsewhere are found too."""
        return self._database.write(lambda connection: self._settle(connection, events, now, others=others))

    def settle_hosts(self, names: Collection[str], standings: Collection[Standing], now: int) -> list[Event]:
        """By how the hosts of *names* stand. A thousand events at most; the next look
        finds the others."""

        def work(connection: sa.Connection) -> list[Event]:
            events = _settle_hosts(connection, names, standings, now)
            self._mail(connection, events, now)
            return events

        return self._database.write(work)

    def settle_rows(self, events: Sequence[Event], besides: Collection[str], now: int) -> list[Event]:
        """By *events* that tell of every row that is not as it should be but those *besides*: others are well again. An
        alarm about a row that was removed ends silently."""

        def work(connection: sa.Connection) -> list[Event]:
            well = _rows_well_again(connection, {event.name for event in events}.union(besides))
            return self._settle(connection, [*events, *well], now, others=False)

        return self._database.write(work)

    def unsent(self, now: int) -> tuple[int, int] | None:
        """(first, last) moment of the events that wait for a mail; None without any."""
        query = sa.select(sa.func.count(), sa.func.min(outbox.c.at), sa.func.max(outbox.c.at)).where(_free(now))
        row = self._database.read(lambda connection: connection.execute(query).one())
        return (row[1], row[2]) if row[0] else None

    def take(self, delivery: str, now: int) -> list[Event]:
        """Reserve the events that wait for a mail, the first 10,000, for *delivery*, and return them. Another issuer
        leaves them alone for ten minutes."""
        waiting = sa.select(outbox.c.id).where(_free(now)).order_by(outbox.c.id)
        taken = outbox.update().where(_free(now)).values(taken_by=delivery, taken_until=now + _TAKEN_SECONDS)

        def take(connection: sa.Connection) -> None:
            next_one = connection.scalar(waiting.offset(_MOST_TAKEN).limit(1))
            connection.execute(taken if next_one is None else taken.where(outbox.c.id < next_one))

        self._database.write(take)
        mine = sa.select(outbox.c.id, outbox.c.content).where(outbox.c.taken_by == delivery)
        portions = self._database.portions(mine, outbox.c.id, _AT_ONCE)  # each content may have 64 KB
        return _read_all(row.content for rows in portions for row in rows)

    def sent(self, delivery: str) -> None:
        """The mail *delivery* was sent: its events are done."""
        gone = outbox.delete().where(outbox.c.taken_by == delivery)
        self._database.write(lambda connection: connection.execute(gone))

    def give_back(self, delivery: str) -> None:
        """The mail *delivery* was not sent: its events wait again."""
        free = outbox.update().where(outbox.c.taken_by == delivery).values(taken_by=None, taken_until=None)
        self._database.write(lambda connection: connection.execute(free))

    def _settle(self, connection: sa.Connection, told: Sequence[Event], now: int, *, others: bool) -> list[Event]:
        names = {event.name for event in told}
        standing = _alarms(connection, None if others else names)
        if others:
            untold = {name for name in standing.keys() - names if not any(kind.is_of_issuer for kind in standing[name])}
            told = [*told, *_recovered_elsewhere(connection, standing, untold, now)]
            names = {event.name for event in told}
        unsent = _unsent_kinds(connection, names)
        rows = {row.name: row for row in rows_of(connection, _CERTIFICATE, certs.c.name, names)}
        after = {name: frozenset(standing.get(name, ())) for name in names}
        mails: list[Event] = []
        changed: list[Event] = []
        for bare in told:
            silent = bare.name in rows and watch_of(rows[bare.name]._mapping).silent(now)
            if is_passed_over(bare, silent=silent):
                if bare.worse:  # than what stands: it is all told once that is heard again
                    after[bare.name] -= {bare.kind}
                continue
            event = graded(_completed(bare, rows.get(bare.name), now), self._stuck_after)
            verdict = weigh(event, after[event.name], unsent.get(event.name, frozenset()))
            after[event.name] = verdict.alarms
            if verdict.retract:
                mails = [mail for mail in mails if mail.name != event.name or mail.kind not in verdict.retract]
                kinds = [kind.value for kind in verdict.retract]
                unread = (outbox.c.name == event.name, outbox.c.kind.in_(kinds), outbox.c.taken_by.is_(None))
                connection.execute(outbox.delete().where(*unread))
            if verdict.mail and is_mailed(event, silent=silent):
                mails.append(event)
                unsent[event.name] = unsent.get(event.name, frozenset()) | {event.kind}
            if verdict.changed:
                changed.append(event)
        _save_alarms(connection, standing, after, now)
        self._mail(connection, mails, now)
        return changed

    def _mail(self, connection: sa.Connection, events: Sequence[Event], now: int) -> None:
        if events and self._by_mail:
            rows = [
                {"at": now, "name": event.name, "kind": event.kind.value, "content": json.dumps(to_json(event))}
                for event in events
            ]
            connection.execute(outbox.insert(), rows)


def _read_all(contents: Iterable[str]) -> list[Event]:
    """The events that can be read; a warning counts the others, which are deleted with the rest of their delivery."""
    found, unreadable = list[Event](), 0
    for content in contents:
        try:
            found.append(shortened(from_json(parse_json(content)), LONGEST_TOLD))
        except (ValueError, KeyError, TypeError, AttributeError):
            unreadable += 1
    if unreadable:
        log.warning("notification.unreadable", events=unreadable)
    return found


def _rows_well_again(connection: sa.Connection, told: Collection[str]) -> list[Event]:
    """The end of each alarm about an enabled row that is not among those *told*. That about a disabled one stays: such
    rows are never told. That about one which is gone is forgotten."""
    standing = {name for name, kinds in _alarms(connection, None).items() if OF_ROWS & kinds.keys()}
    missed = standing.difference(told)
    there = dict(iter(rows_of(connection, sa.select(certs.c.name, is_enabled), certs.c.name, missed)))
    _forget(connection, missed - there.keys(), OF_ROWS)
    return [row_well(name) for name in sorted(there) if there[name]]


def _settle_hosts(
    connection: sa.Connection, names: Collection[str], standings: Collection[Standing], now: int
) -> list[Event]:
    columns = host_alarms.c
    query = sa.select(columns.name, columns.host, columns.account, columns.state)
    told = {row[:3]: row.state for row in rows_of(connection, query, columns.name, names)}
    bad = {one.report.key: one for one in standings if one.bad}
    well = {one.report.key: one for one in standings if one.state.is_well}
    muted = sa.select(certs.c.name, *(certs.c[column] for column in WATCH)).where(certs.c.mute_until > now)
    rows = rows_of(connection, muted, certs.c.name, names)
    silent = {row.name for row in rows if watch_of(row._mapping).silent(now)}
    new = [one for key, one in bad.items() if told.get(key) != one.state.value and one.report.name not in silent]
    new = new[:_MOST_NEWS]
    better = [key for key in told if key not in bad and not is_still_behind(told[key], well.get(key))]
    over = better[:_MOST_NEWS]
    for name, host, account in (*over, *(one.report.key for one in new if one.report.key in told)):
        same = (columns.name == name, columns.host == host, columns.account == account)
        connection.execute(host_alarms.delete().where(*same))
    new = [one for one in new if _is_kept(connection, one, now)]
    details = details_of(connection, [one.report for one in new if one.state is HostState.NOT_WELL])
    events = [at_host(one, words(one, now, details.get(one.report.key, ""))) for one in new]
    events += [at_host(well[key], "") for key in over if key in well]  # else it is gone, forgotten or disabled
    return [dataclasses.replace(event, at=now) for event in events]


def _is_kept(connection: sa.Connection, one: Standing, now: int) -> bool:
    """Keep an alarm about a host; False where the table has one whose key it takes for the same, as that of a host in
    another case: our memory has both, and one of them must not stop what is told of all others."""
    columns = host_alarms.c
    cells = dict(zip((columns.name, columns.host, columns.account), one.report.key, strict=True))
    row = {**cells, columns.state: one.state.value, columns.since: now}
    is_there = sa.exists().where(*(column == value for column, value in cells.items()))
    made = sa.select(*(sa.literal(value, column.type) for column, value in row.items())).where(sa.not_(is_there))
    return connection.execute(host_alarms.insert().from_select(list(row), made)).rowcount > 0


def _completed(event: Event, row: sa.Row[Any] | None, now: int) -> Event:
    """*event* with the facts that the *row* of its certificate adds."""
    if row is None:
        return dataclasses.replace(event, at=now, expires=0)
    url = event.told.url or (row.ari_url if event.kind is EventKind.INCIDENT else "")
    told = dataclasses.replace(event.told, url=url)
    failures = event.failures or row.count_fail_update
    expires = end_of(row.crt, row.ts_expire, imported=row.imported == "Y")
    return dataclasses.replace(event, at=now, expires=expires, failures=failures, told=told, contact=row.contact)


def _alarms(connection: sa.Connection, names: Collection[str] | None) -> dict[str, dict[EventKind, int]]:
    """The alarms of *names*, or all: name → kind → since. Only certificates in trouble have rows."""
    query = sa.select(alarms.c.name, alarms.c.kind, alarms.c.since)
    found: dict[str, dict[EventKind, int]] = {}
    rows: Iterable[Any] = (
        connection.execute(query) if names is None else rows_of(connection, query, alarms.c.name, names)
    )
    for name, value, since in rows:
        if name and (kind := known(EventKind, value, alarms.name, name)) is not None:
            found.setdefault(name, {})[kind] = since
    return found


def _recovered_elsewhere(
    connection: sa.Connection, standing: Mapping[str, Mapping[EventKind, int]], names: Collection[str], now: int
) -> list[Event]:
    """Recoveries of *names* that nobody told: a certificate was stored since its alarm, which is not the audit's, and
    no change of it fails. Of failures whose alarm is far ahead of *now*, by a clock that was wrong, nobody knows since
    when: they are over unless one fails.
    For a certificate that is gone, alarms and unsent mail are deleted, except those that tell that it is gone."""
    names = [name for name in names if standing[name].keys() != {EventKind.VANISHED}]
    query = sa.select(certs.c.name, certs.c.ts_last_update, certs.c.count_fail_update, certs.c.change_failures)
    ends = {name: [at for kind, at in standing[name].items() if kind is not EventKind.AUDIT] for name in names}
    since = {name: max(ends[name], default=math.inf) for name in names}
    lost = {name for name in names if since[name] > now + CLOCKS_APART and standing[name].keys() <= FAILURES}
    stored = {
        name: -1 if change_fails or (fails and name in lost) else at
        for name, at, fails, change_fails in rows_of(connection, query, certs.c.name, names)
    }
    gone = [name for name in names if name not in stored]
    _forget(connection, gone, [kind for kind in EventKind if kind is not EventKind.VANISHED])
    return [recovered(name) for name in stored if stored[name] > (0 if name in lost else since[name])]


def _forget(connection: sa.Connection, names: Collection[str], kinds: Collection[EventKind]) -> None:
    """Delete the alarms of these *kinds* about *names*, and the mail about them that nobody sends yet."""
    values = [kind.value for kind in kinds]
    for some in chunks(sorted(names), _AT_ONCE):
        connection.execute(alarms.delete().where(alarms.c.name.in_(some), alarms.c.kind.in_(values)))
        unread = (outbox.c.name.in_(some), outbox.c.kind.in_(values), outbox.c.taken_by.is_(None))
        connection.execute(outbox.delete().where(*unread))


def _unsent_kinds(connection: sa.Connection, names: Collection[str]) -> dict[str, frozenset[EventKind]]:
    """The kinds that no mail has carried yet, by name."""
    found: dict[str, frozenset[EventKind]] = {}
    query = sa.select(outbox.c.name, outbox.c.kind).where(outbox.c.taken_by.is_(None))
    for name, value in rows_of(connection, query, outbox.c.name, names):
        if (kind := known(EventKind, value, outbox.name, name)) is not None:
            found[name] = found.get(name, frozenset()) | {kind}
    return found


def _save_alarms(
    connection: sa.Connection,
    standing: Mapping[str, Mapping[EventKind, int]],
    after: Mapping[str, frozenset[EventKind]],
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


def _free(now: int) -> sa.ColumnElement[bool]:
    return sa.or_(outbox.c.taken_until.is_(None), sa.not_(believable(outbox.c.taken_until, now, _TAKEN_SECONDS)))
