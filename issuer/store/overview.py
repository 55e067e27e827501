"""The facts that people see beside the certificates themselves: orders under way, and lives. Only reads."""

from collections.abc import Collection

import sqlalchemy as sa

from common.dataclasses import dataclass
from issuer.model.moments import believable
from issuer.model.orders import Cause, is_by_hand
from issuer.store.cells import from_row
from issuer.store.database import Database
from issuer.store.orders import FREE, LEASE_SECONDS, cause_of
from issuer.store.tables import certs, has_certificate, is_enabled, orders

LONGEST_COMMENT = 200  # characters


@dataclass(frozen=True, slots=True)
class OrderUnderWay:
    """One order that has not ended; times in epoch seconds. *lease_owner* is "" for an order that was let go."""

    state: str
    directory: str
    url: str
    cause: Cause
    deadline: int | None
    lease_owner: str
    lease_until: int
    created_at: int
    updated_at: int

    def leased(self, now: float) -> bool:
        """Does an issuer work on it?"""
        return self.lease_owner != "" and believable(self.lease_until, now, LEASE_SECONDS)

    def is_by_hand(self, now: float) -> bool:
        """Does a person work on it?"""
        return is_by_hand(self.cause, self.deadline, now)


def orders_by_hand(connection: sa.Connection, now: int) -> dict[str, OrderUnderWay]:
    """The orders under way that a person works on, by name of the certificate."""
    theirs = (orders.c.active_name > "", orders.c.reason == Cause.BY_HAND.value)
    rows = connection.execute(sa.select(orders).where(*theirs).order_by(orders.c.active_name)).mappings()
    found = {row["active_name"]: _under_way(row) for row in rows}
    return {name: order for name, order in found.items() if order.is_by_hand(now)}


class Overview:
    """Each method asks one question. Raises StoreError."""

    def __init__(self, database: Database):
        self._database = database

    def order(self, name: str) -> OrderUnderWay | None:
        """The order under way for *name*."""
        query = sa.select(orders).where(orders.c.active_name == name)
        row = self._database.read(lambda connection: connection.execute(query).mappings().one_or_none())
        return None if row is None else _under_way(row)

    def leased(self, now: int) -> set[str]:
        """The certificates whose order an issuer works on."""
        query = sa.select(orders.c.active_name).where(orders.c.active_name > "", sa.not_(FREE))
        return self._database.read(lambda connection: set(connection.scalars(query, {"now": now})))

    def newest_orders(self, directory: str, most: int) -> list[str]:
        """URLs of the orders that were opened last at a CA."""
        at_the_ca = (orders.c.directory == directory, orders.c.url > "")
        query = sa.select(orders.c.url).where(*at_the_ca).order_by(orders.c.id.desc()).limit(most)
        return self._database.read(lambda connection: list(connection.scalars(query)))

    def by_hand(self, names: Collection[str] | None, now: int) -> dict[str, OrderUnderWay]:
        """The orders by hand of *names* (None: of all), which `run` leaves alone."""
        found = self._database.read(lambda connection: orders_by_hand(connection, now))
        return {name: order for name, order in found.items() if names is None or name in names}

    def short_lives(self, longest: int) -> list[tuple[str, int]]:
        """(name, seconds from its storing to its end) of certificates of ours that live *longest* seconds at most."""
        life = certs.c.ts_expire - certs.c.ts_last_update
        ours = (is_enabled, has_certificate, certs.c.imported.is_(None), certs.c.rolled_back.is_(None))
        query = sa.select(certs.c.name, life).where(*ours, life > 0, life <= longest).order_by(life, certs.c.name)
        return self._database.read(lambda connection: [(row[0], row[1]) for row in connection.execute(query)])

    def comments(self) -> dict[str, str]:
        """The comments of certificates that have one, by name, each up to a length that fits a line."""
        said = sa.func.substr(certs.c.comment, 1, LONGEST_COMMENT, type_=certs.c.comment.type)
        query = sa.select(certs.c.name, said).where(certs.c.comment > "")
        return self._database.read(lambda connection: {row[0]: row[1] for row in connection.execute(query) if row[0]})


def _under_way(row: sa.RowMapping) -> OrderUnderWay:
    return from_row(OrderUnderWay, row, cause=cause_of(row["reason"]))
