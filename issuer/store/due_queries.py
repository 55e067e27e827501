"""The daemon's questions to the database every few seconds: cheap ones, each answered by an index."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from common.chunks import in_turn
from issuer.model.enrolment import NEVER_ISSUED, end_of
from issuer.model.orders import OrderState
from issuer.model.survey import DAY, EXPIRY_DAYS, DueRow, Survey
from issuer.store.database import Database, rows_of
from issuer.store.holds import in_force
from issuer.store.orders import free
from issuer.store.overview import orders_by_hand
from issuer.store.revision import require
from issuer.store.rows import NEAR_END, due
from issuer.store.tables import certs, has_certificate, holds, is_enabled, orders

_STATES = {state.value for state in OrderState}
_COLUMNS = (certs.c.name, certs.c.due_at, certs.c.count_fail_update, certs.c.reissue_reason)
_UNKNOWN = (is_enabled, (certs.c.due_at + 0).is_(None))  # by another index than that of due_at
# an OR of both kinds of failure would read every row; where a change has failed, its next moment is in an index
_CHANGE_ALONE_FAILS = (
    certs.c.change_due_at.is_not(None),
    certs.c.change_failures > 0,
    sa.or_(sa.func.coalesce(certs.c.count_fail_update, 0) <= 0, certs.c.last_error.is_(None)),
)
_FAILS = (certs.c.count_fail_update > 0, certs.c.last_error.is_not(None))  # a count alone is of old scripts


class DueQueries:
    """As issuer/loops/intake.py describes it. Each method asks once. *owner* has the lease on our own orders."""

    def __init__(self, database: Database, owner: str):
        self._database = database
        self._owner = owner

    def require_tables(self) -> None:
        require(self._database)

    def due(self, now: int, most: int) -> list[DueRow]:
        unknown, come, *others = (sa.select(*_COLUMNS).where(*these).limit(most) for these in due(now))
        # no index has all that are unknown by their end, and a wish may have made a whole fleet so
        last_days = sa.select(*_COLUMNS).where(*_UNKNOWN, has_certificate, certs.c.ts_expire <= now + NEAR_END)
        last_days = last_days.order_by(certs.c.ts_expire).limit(most)
        queries = (last_days, come.order_by(certs.c.due_at), unknown, *others)  # the longest wait first

        def work(connection: sa.Connection) -> list[DueRow]:
            kinds = [connection.execute(query).all() for query in queries]
            return [DueRow(*row) for row in in_turn(*kinds) if row[0]]

        return self._database.read(work)

    def left_over(self, now: int) -> list[DueRow]:
        """Certificates with an order under way that no other issuer has leased and nobody does by hand, unless they
        wait for their next attempt."""
        ours_to_take = sa.or_(free(now), orders.c.lease_owner == self._owner)
        under_way = sa.select(orders.c.active_name).where(orders.c.active_name > "", ours_to_take)
        waits = sa.and_(is_enabled, certs.c.due_at.is_not(None), certs.c.due_at > now)

        def work(connection: sa.Connection) -> list[DueRow]:
            # no join with certs: SQLite would scan that table
            names = set(connection.scalars(under_way)) - set(orders_by_hand(connection, now))
            rows = rows_of(connection, sa.select(*_COLUMNS).where(sa.not_(waits)), certs.c.name, names)
            return [DueRow(*row) for row in rows]

        return self._database.read(work)

    def survey(self, now: int, *, stuck_after: int, most: int, besides: Sequence[str] = ()) -> Survey:
        """Stuck are those that failed *stuck_after* times in a row."""
        return self._database.read(lambda connection: _survey(connection, now, stuck_after, most, besides))


def _survey(connection: sa.Connection, now: int, stuck_after: int, most: int, besides: Sequence[str]) -> Survey:
    def count(*conditions: sa.ColumnElement[bool]) -> int:
        query = sa.select(sa.func.count()).select_from(certs).where(is_enabled, *conditions)
        return int(connection.scalar(query) or 0)

    by_state = sa.select(orders.c.state, sa.func.count()).where(orders.c.active_name > "").group_by(orders.c.state)
    held = sa.select(holds.c.scope, sa.func.max(holds.c.until)).where(in_force(now)).group_by(holds.c.scope)
    enabled, with_certificate, expiring = _by_expiry(connection, now)
    soonest = _soonest(connection, most, besides)
    seen = {days: sum(moment <= now + days * DAY for _, moment in soonest) for days in expiring}
    return Survey(
        at=now,
        enabled=enabled,
        issued=with_certificate,
        due=count(certs.c.due_at.is_(None)) + count(certs.c.due_at <= now) - _due_by_hand(connection, now),
        failing=count(*_FAILS) + count(*_CHANGE_ALONE_FAILS),
        stuck=count(*_FAILS, certs.c.count_fail_update >= stuck_after)
        + count(*_CHANGE_ALONE_FAILS, certs.c.change_failures >= stuck_after),
        soonest=tuple(soonest),
        expiring={days: max(count, seen[days]) for days, count in expiring.items()},
        orders=_by_known_state(connection.execute(by_state)),
        holds=tuple((scope, until) for scope, until in connection.execute(held)),
    )


def _by_known_state(counted: Iterable[Any]) -> dict[str, int]:
    """The (state, number) of orders by state; those that only others know are one "other", however many they are."""
    found: Counter[str] = Counter()
    for state, number in counted:
        found[state if state in _STATES else "other"] += int(number)
    return dict(found)


def _soonest(connection: sa.Connection, most: int, besides: Sequence[str]) -> list[tuple[str, int]]:
    """(name, end) of the *most* certificates that expire first, each as the certificate itself says: of those that are
    the first by ts_expire, and *besides*."""
    present = sa.select(certs.c.name, certs.c.crt, certs.c.ts_expire, certs.c.imported)
    present = present.where(is_enabled)
    first = connection.execute(present.where(has_certificate).order_by(certs.c.ts_expire).limit(most)).all()
    rows = [*first, *rows_of(connection, present, certs.c.name, set(besides) - {row.name for row in first})]
    ends = ((row.name, end_of(row.crt, row.ts_expire, imported=row.imported == "Y")) for row in rows)
    issued = [(name, moment) for name, moment in ends if moment > NEVER_ISSUED]
    return sorted(issued, key=lambda each: each[1])[:most]


def _due_by_hand(connection: sa.Connection, now: int) -> int:
    """How many look due and are by hand."""
    come = (is_enabled, sa.or_(certs.c.due_at.is_(None), certs.c.due_at <= now))
    query = sa.select(certs.c.name).where(*come)
    return len(list(rows_of(connection, query, certs.c.name, orders_by_hand(connection, now))))


def _by_expiry(connection: sa.Connection, now: int) -> tuple[int, int, dict[int, int]]:
    """(enabled, those with a certificate, counts by time left): one walk over one index."""
    bounds = (0, *EXPIRY_DAYS)
    sums = [
        sa.func.sum(sa.case((certs.c.ts_expire.between(NEVER_ISSUED + 1, moment), 1), else_=0))
        for moment in (2**62, *(now + days * DAY for days in bounds))
    ]
    row = connection.execute(sa.select(sa.func.count(), *sums).select_from(certs).where(is_enabled)).one()
    issued, *within = (int(value or 0) for value in row[1:])
    return int(row[0]), issued, dict(zip(bounds, within, strict=True))
