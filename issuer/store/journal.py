"""The challenge journal: a row stands for as long as what it describes may be out in the world.

Written before a TXT value is published, deleted after it was taken back; so a crash at any instruction leaves the row,
and the next run takes back what it names.

A CA may give two orders the same challenge (Boulder hands out an order that waits already), and so the same value. Who
takes back what an ended order left holds that order's lease meanwhile, in a name that tells it from the lease of who
worked on the order; who is about to publish the same takes its rows over, or waits for that lease.
"""

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from issuer.model.acme import Challenge
from issuer.model.errors import BeingTakenBack
from issuer.store.database import Database
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
_WANTED = (  # compared here and not there, where it would be each with each
    sa.select(challenges)
    .join(orders, _ITS_ORDER)
    .where(orders.c.active_name > "", challenges.c.zone.in_(sa.bindparam("zones", expanding=True)))
)
_LET_GO = orders.update().where(
    orders.c.id.in_(sa.bindparam("orders", expanding=True)), orders.c.lease_owner == sa.bindparam("lease")
)


class Journal:
    def __init__(self, database: Database, owner: str):
        self._database = database
        self._lease = f"{owner}*"  # the same after a crash, so that what was being taken back is gone on with at once
        self._taken: set[int] = set()  # orders, by other threads of this process
        self._taking = threading.Lock()

    def add(self, order_id: int, entries: Sequence[Challenge], now: int) -> list[Challenge]:
        """Journal what is about to be published for an order; returns everything that may be, with its row numbers.

        Entries that an earlier try left are kept beside the new ones: their values may be out. Those of an ended order
        that name just what is to be published are taken over; BeingTakenBack while that is done.
        """
        places = {_place(entry) for entry in entries}
        asked = {"number": order_id, "values": [entry.value for entry in entries]}

        def work(connection: sa.Connection) -> list[Challenge]:
            rows = connection.execute(_OF_ORDER_OR_ALIKE, asked).mappings().all()
            known = [_entry(row) for row in rows if row["order_id"] == order_id]
            left = [row for row in rows if row["order_id"] != order_id and row["active_name"] is None]
            _take_over(connection, [row for row in left if _place(_entry(row)) in places], now)
            there = {(entry.url, entry.zone, entry.value) for entry in known}
            fresh = [entry for entry in entries if (entry.url, entry.zone, entry.value) not in there]
            return known + [_insert(connection, order_id, entry, now) for entry in fresh]

        return self._database.write(work)

    def of(self, order_id: int) -> list[Challenge]:
        """What is or may be published for an order."""
        return self._entries(_OF_ORDER, number=order_id)

    def orphans(self) -> list[Challenge]:
        """Entries whose order has ended: left by a process that died before it could take them back."""
        ended = ~sa.exists().where(_ITS_ORDER, orders.c.active_name.is_not(None))
        return self._entries(sa.select(challenges).where(ended).order_by(challenges.c.id))

    @contextmanager
    def held(self, entries: Sequence[Challenge], now: int) -> Iterator[list[Challenge]]:
        """Those of *entries* that are to be taken back now, and by nobody else until the block ends: of orders that
        have ended, and that nobody else is at. What an order under way wants to stay is only forgotten."""
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
                wanted = {_place(each) for each in self._entries(_WANTED, zones=list({each.zone for each in found}))}
                self.forget([each for each in found if _place(each) in wanted])
                yield [each for each in found if _place(each) not in wanted]
            finally:
                free = _LET_GO.values(lease_owner=None, lease_until=None)
                self._database.write(lambda connection: connection.execute(free, asked), durable=False)

    @contextmanager
    def _apart(self, numbers: Sequence[int]) -> Iterator[list[int]]:
        """The orders of those rows, but for what another thread of this process is at."""
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
        """Delete entries whose values are gone from the world."""
        numbers = [entry.id for entry in entries]
        if numbers:
            # not for good if the power fails: then they are taken back once more, which does no harm
            self._database.write(lambda connection: connection.execute(_GONE, {"numbers": numbers}), durable=False)

    def _entries(self, query: sa.Select[Any], **asked: object) -> list[Challenge]:
        return self._database.read(lambda connection: list(map(_entry, connection.execute(query, asked).mappings())))


def _place(entry: Challenge) -> tuple[str, str, str, str]:
    """What is out in the world: two entries with the same one are one TXT value or file."""
    return entry.type, entry.owner, entry.zone, entry.value


def _take_over(connection: sa.Connection, left: Sequence[sa.RowMapping], now: int) -> None:
    """The rows *left* of ended orders make way for another order's. Raises BeingTakenBack."""
    if not left:
        return
    ended = list({row["of"] for row in left if row["of"] is not None})
    # the same row that who takes back changes: on a cluster one of the two loses
    free = _ENDED_AND_FREE.values(lease_owner=None, lease_until=now, updated_at=now)
    if ended and connection.execute(free, {"orders": ended, "now": now}).rowcount < len(ended):
        raise BeingTakenBack(left[0]["identifier"])
    connection.execute(_GONE, {"numbers": [row["id"] for row in left]})


def _insert(connection: sa.Connection, order_id: int, entry: Challenge, now: int) -> Challenge:
    key = connection.execute(challenges.insert(), _row(order_id, entry, now)).inserted_primary_key
    assert key is not None  # noqa: S101 - the table counts up by itself
    return dataclasses.replace(entry, id=int(key[0]))


def _row(order_id: int, entry: Challenge, now: int) -> dict[str, object]:
    return {
        "order_id": order_id,
        "type": entry.type,
        "identifier": entry.identifier,
        "authorization_url": entry.authorization_url,
        "url": entry.url,
        "owner": entry.owner,
        "zone": entry.zone,
        "value": entry.value,
        "created_at": now,
    }


def _entry(row: sa.RowMapping) -> Challenge:
    return Challenge(
        type=row["type"] or "",
        identifier=row["identifier"] or "",
        authorization_url=row["authorization_url"] or "",
        url=row["url"] or "",
        owner=row["owner"] or "",
        zone=row["zone"] or "",
        value=row["value"] or "",
        id=row["id"],
    )
