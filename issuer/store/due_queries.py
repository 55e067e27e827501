"""What the daemon asks the database every few seconds: cheap questions, each answered by an index.

An OR over a column that may be NULL would make a server scan the table, so there is one question for each case.
"""

from typing import Any

import sqlalchemy as sa

from issuer.ground.chunks import chunks
from issuer.model.limits import LONGEST_HOLD
from issuer.model.survey import DAY, EXPIRY_DAYS, Mark, Survey
from issuer.store.certificates import put_off
from issuer.store.database import Database
from issuer.store.holds import in_force
from issuer.store.orders import free
from issuer.store.overview import in_hand
from issuer.store.revision import require
from issuer.store.tables import certs, holds, orders

_NEVER_ISSUED = 1  # what ts_expire holds after populate
_CHUNK = 500  # names in one question
_MARK = (certs.c.name, certs.c.due_at, certs.c.count_fail_update, certs.c.reissue_reason)


class Lookout:
    """*owner* is the name under which our own orders are leased."""

    def __init__(self, database: Database, owner: str):
        self._database = database
        self._owner = owner

    def require_tables(self) -> None:
        """OtherRevision where they are those of another version: a daemon may outlast an upgrade, or begin before."""
        require(self._database)

    def due(self, now: int, most: int) -> list[Mark]:
        """Enabled certificates whose moment has come, is not known yet or can hardly be meant; those that wait longest
        first."""
        enabled = certs.c.enable == "Y"
        unknown = sa.select(*_MARK).where(enabled, certs.c.due_at.is_(None)).limit(most)
        come = sa.select(*_MARK).where(enabled, certs.c.due_at <= now).order_by(certs.c.due_at).limit(most)
        failed = (certs.c.count_fail_update > 0, certs.c.last_error.is_not(None))
        failing = (enabled, *failed, certs.c.due_at + 0 > now + LONGEST_HOLD)  # + 0 for the reason that put_off tells
        absurd = [sa.select(*_MARK).where(*these).limit(most) for these in (put_off(now), failing)]

        def work(connection: sa.Connection) -> list[Mark]:
            return [mark for question in (unknown, come, *absurd) for mark in _marks(connection, question)]

        return self._database.read(work)

    def left_over(self, now: int) -> list[Mark]:
        """Certificates whose order is under way and in nobody's hands, unless they wait for their next attempt.

        Nobody's: of no living issuer, and of no person who issues by hand.
        """
        ours_to_take = sa.or_(free(now), orders.c.lease_owner == self._owner)
        under_way = sa.select(orders.c.active_name).where(orders.c.active_name > "", ours_to_take, ~in_hand(now))
        waits = sa.and_(certs.c.enable == "Y", certs.c.due_at.is_not(None), certs.c.due_at > now)

        def work(connection: sa.Connection) -> list[Mark]:
            names = list(connection.scalars(under_way))  # a join would tempt SQLite to scan certs instead
            found: list[Mark] = []
            for some in chunks(names, _CHUNK):
                found += _marks(connection, sa.select(*_MARK).where(certs.c.name.in_(some), sa.not_(waits)))
            return found

        return self._database.read(work)

    def survey(self, now: int, *, stuck_after: int, most: int) -> Survey:
        """Counts of everything, and the *most* certificates that expire first."""
        return self._database.read(lambda connection: _survey(connection, now, stuck_after, most))


def _survey(connection: sa.Connection, now: int, stuck_after: int, most: int) -> Survey:
    def count(*conditions: sa.ColumnElement[bool]) -> int:
        query = sa.select(sa.func.count()).select_from(certs).where(certs.c.enable == "Y", *conditions)
        return int(connection.scalar(query) or 0)

    issued = certs.c.ts_expire > _NEVER_ISSUED
    soonest = sa.select(certs.c.name, certs.c.ts_expire).where(certs.c.enable == "Y", issued)
    soonest = soonest.order_by(certs.c.ts_expire).limit(most)
    by_state = sa.select(orders.c.state, sa.func.count()).where(orders.c.active_name > "").group_by(orders.c.state)
    held = sa.select(holds.c.scope, sa.func.max(holds.c.until)).where(in_force(now)).group_by(holds.c.scope)
    enabled, with_certificate, expiring = _by_expiry(connection, now)
    return Survey(
        at=now,
        enabled=enabled,
        issued=with_certificate,
        due=count(certs.c.due_at.is_(None)) + count(certs.c.due_at <= now) - _due_by_hand(connection, now),
        failing=count(certs.c.count_fail_update > 0),
        stuck=count(certs.c.count_fail_update >= stuck_after),
        soonest=tuple((row[0] or "", row[1]) for row in connection.execute(soonest) if row[1] is not None),
        expiring=expiring,
        orders={row[0] or "": int(row[1]) for row in connection.execute(by_state)},
        holds=tuple((row[0] or "", row[1]) for row in connection.execute(held)),
    )


def _due_by_hand(connection: sa.Connection, now: int) -> int:
    """How many look due and are in a person's hands."""
    by_hand = sa.select(orders.c.active_name).where(orders.c.active_name > "", in_hand(now))
    names = list(connection.scalars(by_hand))
    come = (certs.c.enable == "Y", sa.or_(certs.c.due_at.is_(None), certs.c.due_at <= now))
    return sum(
        int(connection.scalar(sa.select(sa.func.count()).where(certs.c.name.in_(some), *come)) or 0)
        for some in chunks(names, _CHUNK)
    )


def _by_expiry(connection: sa.Connection, now: int) -> tuple[int, int, dict[int, int]]:
    """(enabled, those with a certificate, counts by time left): one walk over one index."""
    bounds = (0, *EXPIRY_DAYS)
    sums = [
        sa.func.sum(sa.case((certs.c.ts_expire.between(_NEVER_ISSUED + 1, moment), 1), else_=0))
        for moment in (2**62, *(now + days * DAY for days in bounds))
    ]
    row = connection.execute(sa.select(sa.func.count(), *sums).select_from(certs).where(certs.c.enable == "Y")).one()
    issued, *within = (int(value or 0) for value in row[1:])
    return int(row[0]), issued, dict(zip(bounds, within, strict=True))


def _marks(connection: sa.Connection, query: sa.Select[Any]) -> list[Mark]:
    return [Mark(row[0], row[1], row[2] or 0, row[3] or "") for row in connection.execute(query) if row[0]]
