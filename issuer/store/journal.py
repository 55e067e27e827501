"""The challenge journal: one row for each TXT value or file, for as long as it may be published.

A row is written before the value is published and deleted after it was withdrawn. So a crash at any instruction leaves
the row, and the next run withdraws what it names.

A CA may give two orders the same challenge, and so the same value: Boulder returns a pending order again. Cleaning up
an ended order therefore takes that order's lease, under the owner `NAME*`. An order that is about to publish the same
value takes the rows over, or waits for that lease.
"""

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from issuer.model.acme import Challenge
from issuer.model.errors import BeingTakenBack
from issuer.store.cells import from_row
from issuer.store.database import Database, insert
from issuer.store.orders import FREE, LEASE_SECONDS
from issuer.store.tables import challenges, orders

_OF_ORDER = sa.select(challenges).where(challenges.c.order_id == sa.bindparam("number")).order_by(challenges.c.id)
_THESE = challenges.c.id.in_(sa.bindparam("numbers", expanding=True))
_GONE = challenges.delete().where(_THESE)
_ITS_ORDER = orders.c.id == challenges.c.order_id
_SAME_VALUE = challenges.c.value.in_(sa.bindparam("values", expanding=True))
_OF_ORDER_OR_ALIKE = (
    sa.select(challenges, orders.c.active_name, orders.c.id.label("of"))
    .outerjoin(orders, _ITS_ORDER)
    .where(sa.or_(challenges.c.order_id == sa.bindparam("number"), _SAME_VALUE))
    .order_by(challenges.c.id)
)
_ORDERS = sa.select(challenges.c.order_id).where(_THESE)
_ENDED = (orders.c.id.in_(sa.bindparam("orders", expanding=True)), orders.c.active_name.is_(None))
_ENDED_AND_FREE = orders.update().where(*_ENDED, FREE)
_ENDED_AND_FREE_OR_OURS = orders.update().where(*_ENDED, sa.or_(FREE, orders.c.lease_owner == sa.bindparam("lease")))
_LEASED = (
    sa.select(challenges)
    .outerjoin(orders, _ITS_ORDER)
    .where(_THESE, sa.or_(orders.c.id.is_(None), sa.and_(_ENDED[0], orders.c.lease_owner == sa.bindparam("lease"))))
)
_WANTED = (  # Python compares them: the database would compare each with each
    sa.select(challenges)
    .join(orders, _ITS_ORDER)
    .where(orders.c.active_name > "", challenges.c.zone.in_(sa.bindparam("zones", expanding=True)))
)
_LET_GO = orders.update().where(
    orders.c.id.in_(sa.bindparam("orders", expanding=True)), orders.c.lease_owner == sa.bindparam("lease")
)


class Journal:
    """A ChallengeJournal (issuer/journey/ports.py) as one issuer process sees it. *owner* names that process as for
    Orders."""

    def __init__(self, database: Database, owner: str):
        self._database = database
        self._lease = f"{owner}*"  # the same after a crash, so that an interrupted withdrawal goes on at once
        self._taken: set[int] = set()  # orders that a thread of this process cleans up
        self._taking = threading.Lock()

    def add(self, order_id: int, entries: Sequence[Challenge], now: int) -> list[Challenge]:
        """Entries of an earlier try stay beside the new ones: their values may be published. Entries of an ended order
        with the same place are taken over."""
        places = {entry.place for entry in entries}
        asked = {"number": order_id, "values": [entry.value for entry in entries]}

        def work(connection: sa.Connection) -> list[Challenge]:
            rows = connection.execute(_OF_ORDER_OR_ALIKE, asked).mappings().all()
            known = [from_row(Challenge, row) for row in rows if row["order_id"] == order_id]
            left = [row for row in rows if row["order_id"] != order_id and not row["active_name"]]
            _take_over(connection, [row for row in left if from_row(Challenge, row).place in places], now)
            there = {(entry.url, entry.place) for entry in known}
            for entry in entries:
                if (entry.url, entry.place) not in there:
                    row = dataclasses.asdict(entry) | {"order_id": order_id, "created_at": now}
                    del row["id"]
                    known.append(dataclasses.replace(entry, id=insert(connection, challenges, row)))
            return known

        return self._database.write(work)

    def of(self, order_id: int) -> list[Challenge]:
        return self._entries(_OF_ORDER, number=order_id)

    def orphans(self) -> list[Challenge]:
        ended = ~sa.exists().where(_ITS_ORDER, orders.c.active_name.is_not(None))
        return self._entries(sa.select(challenges).where(ended).order_by(challenges.c.id))

    @contextmanager
    def leased(self, entries: Sequence[Challenge], now: int) -> Iterator[list[Challenge]]:
        numbers = [entry.id for entry in entries]
        if not numbers:
            yield []
            return
        with self._apart(numbers) as those:
            asked = {"orders": those, "lease": self._lease}
            lease = _ENDED_AND_FREE_OR_OURS.values(lease_owner=self._lease, lease_until=now + LEASE_SECONDS)
            self._database.write(lambda connection: connection.execute(lease, asked | {"now": now}), durable=False)
            try:
                found = self._entries(_LEASED, numbers=numbers, **asked)
                wanted = {each.place for each in self._entries(_WANTED, zones=list({each.zone for each in found}))}
                self.forget([each for each in found if each.place in wanted])
                yield [each for each in found if each.place not in wanted]
            finally:
                free = _LET_GO.values(lease_owner=None, lease_until=None)
                self._database.write(lambda connection: connection.execute(free, asked), durable=False)

    @contextmanager
    def _apart(self, numbers: Sequence[int]) -> Iterator[list[int]]:
        """The orders of those rows, without those that another thread of this process cleans up."""
        found = self._database.read(lambda connection: set(connection.scalars(_ORDERS, {"numbers": numbers})))
        with self._taking:
            ours = found - self._taken
            self._taken |= ours
        try:
            yield list(ours)
        finally:
            with self._taking:
                self._taken -= ours

    def forget(self, entries: Sequence[Challenge]) -> None:
        numbers = [entry.id for entry in entries]
        if numbers:
            # a power cut may undo it; then they are withdrawn once more, which does no harm
            self._database.write(lambda connection: connection.execute(_GONE, {"numbers": numbers}), durable=False)

    def _entries(self, query: sa.Select[Any], **asked: object) -> list[Challenge]:
        def look(connection: sa.Connection) -> list[Challenge]:
            return [from_row(Challenge, row) for row in connection.execute(query, asked).mappings()]

        return self._database.read(look)


def _take_over(connection: sa.Connection, left: Sequence[sa.RowMapping], now: int) -> None:
    """Delete the rows *left* of ended orders, because another order publishes the same. Raises BeingTakenBack."""
    if not left:
        return
    ended = list({row["of"] for row in left if row["of"] is not None})
    # a withdrawal changes the same row of orders: on a cluster one of the two loses
    free = _ENDED_AND_FREE.values(lease_owner=None, lease_until=now, updated_at=now)
    if ended and connection.execute(free, {"orders": ended, "now": now}).rowcount < len(ended):
        raise BeingTakenBack(left[0]["identifier"])
    connection.execute(_GONE, {"numbers": [row["id"] for row in left]})
