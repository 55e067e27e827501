"""The challenge journal: a row stands for as long as what it describes may be out in the world.

Written before a TXT value is published, deleted after it was taken back; so a crash at any instruction leaves the row,
and the next run takes back what it names.
"""

import dataclasses
from collections.abc import Sequence

import sqlalchemy as sa

from issuer.model import Challenge
from issuer.store.database import Database
from issuer.store.tables import challenges, orders

_OF_ORDER = sa.select(challenges).where(challenges.c.order_id == sa.bindparam("number")).order_by(challenges.c.id)
_GONE = challenges.delete().where(challenges.c.id.in_(sa.bindparam("numbers", expanding=True)))


class Journal:
    def __init__(self, database: Database):
        self._database = database

    def add(self, order_id: int, entries: Sequence[Challenge], now: int) -> list[Challenge]:
        """Journal what is about to be published for an order; returns everything that may be, with its row numbers.

        Entries that an earlier try left are kept beside the new ones: their values may be out.
        """

        def work(connection: sa.Connection) -> list[Challenge]:
            known = _of(connection, order_id)
            there = {(entry.url, entry.zone, entry.value) for entry in known}
            fresh = [entry for entry in entries if (entry.url, entry.zone, entry.value) not in there]
            return known + [_insert(connection, order_id, entry, now) for entry in fresh]

        return self._database.write(work)

    def of(self, order_id: int) -> list[Challenge]:
        """What is or may be published for an order."""
        return self._database.read(lambda connection: _of(connection, order_id))

    def orphans(self) -> list[Challenge]:
        """Entries whose order has ended: left by a process that died before it could take them back."""
        ended = ~sa.exists().where(orders.c.id == challenges.c.order_id, orders.c.active_name.is_not(None))
        query = sa.select(challenges).where(ended).order_by(challenges.c.id)
        return self._database.read(lambda connection: [_entry(row) for row in connection.execute(query).mappings()])

    def forget(self, entries: Sequence[Challenge]) -> None:
        """Delete entries whose values are gone from the world."""
        numbers = [entry.id for entry in entries]
        if numbers:
            # not for good if the power fails: then they are taken back once more, which does no harm
            self._database.write(lambda connection: connection.execute(_GONE, {"numbers": numbers}), durable=False)


def _of(connection: sa.Connection, order_id: int) -> list[Challenge]:
    return [_entry(row) for row in connection.execute(_OF_ORDER, {"number": order_id}).mappings()]


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
        type=row["type"],
        identifier=row["identifier"],
        authorization_url=row["authorization_url"],
        url=row["url"],
        owner=row["owner"],
        zone=row["zone"],
        value=row["value"],
        id=row["id"],
    )
