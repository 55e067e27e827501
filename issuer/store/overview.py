"""What people are shown beside the certificates themselves: orders under way, holds, what hosts report. Only reads."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from issuer.model.failure import Failure
from issuer.model.limits import Hold
from issuer.model.moments import believable
from issuer.model.orders import HAND_SECONDS, Cause, is_by_hand
from issuer.store import cells
from issuer.store.database import Database
from issuer.store.holds import in_force
from issuer.store.orders import LEASE_SECONDS, cause_of
from issuer.store.tables import holds, installations, orders


@dataclass(frozen=True, slots=True)
class OrderUnderWay:
    """One order that has not ended; times in epoch seconds. *lease_owner* is "" when no issuer holds it."""

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
        """Does an issuer hold it?"""
        return self.lease_owner != "" and believable(self.lease_until, now, LEASE_SECONDS)

    def is_by_hand(self, now: float) -> bool:
        """Does a person work on it?"""
        return is_by_hand(self.cause, self.deadline, now)


@dataclass(frozen=True, slots=True)
class Installation:
    """What the agent of one host reported last about one certificate: its own words, not to be trusted."""

    host: str
    account: str
    sha256: str
    state: str
    detail: str
    reported_at: int


# Of what agents report: the certificate is not served there, or nobody could see whether it is.
_NOT_WELL = ("broken", "failed", "refused", "unproven")
_REPORT_COUNTS = 30 * 86400  # seconds: agents report daily, and a host that is gone never again


def by_person(now: int) -> sa.ColumnElement[bool]:
    """As :func:`issuer.model.orders.is_by_hand`, of an order under way; never NULL."""
    theirs = sa.func.coalesce(orders.c.reason, "") == Cause.BY_HAND.value
    return sa.and_(theirs, cells.believable(sa.func.coalesce(orders.c.deadline, 0), now, HAND_SECONDS))


class Overview:
    def __init__(self, database: Database):
        self._database = database

    def holds(self, now: int) -> list[Hold]:
        """Everything that the CAs' moments hold up still."""
        query = sa.select(holds).where(in_force(now)).order_by(holds.c.until.desc())
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [Hold(row.account, row.scope, row.until, Failure(row.reason or "")) for row in rows]

    def order(self, name: str) -> OrderUnderWay | None:
        """The order under way for *name*."""
        query = sa.select(orders).where(orders.c.active_name == name)
        row = self._database.read(lambda connection: connection.execute(query).one_or_none())
        return None if row is None else _under_way(row)

    def newest_orders(self, directory: str, most: int) -> list[str]:
        """URLs of the orders that were opened last at a CA."""
        at_the_ca = (orders.c.directory == directory, orders.c.url > "")
        query = sa.select(orders.c.url).where(*at_the_ca).order_by(orders.c.id.desc()).limit(most)
        return self._database.read(lambda connection: list(connection.scalars(query)))

    def by_hand(self, names: Collection[str] | None, now: int) -> dict[str, OrderUnderWay]:
        """The orders of those of *names* (None: of all) that a person issues step by step, which `run` leaves alone."""
        query = sa.select(orders).where(orders.c.active_name > "", by_person(now)).order_by(orders.c.active_name)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return {row.active_name: _under_way(row) for row in rows if names is None or row.active_name in names}

    def installations(self, name: str) -> list[Installation]:
        """What hosts report of *name*, by host."""
        query = sa.select(installations).where(installations.c.name == name).order_by(installations.c.host)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [
            Installation(
                host=row.host or "",
                account=row.account or "",
                sha256=row.sha256 or "",
                state=row.state or "",
                detail=row.detail or "",
                reported_at=row.ts_report or 0,
            )
            for row in rows
        ]

    def hosts_not_well(self, now: int) -> dict[str, int]:
        """How many hosts report of a certificate that it is not served there as it should be, by name."""
        reported = (installations.c.state.in_(_NOT_WELL), installations.c.ts_report > now - _REPORT_COUNTS)
        query = sa.select(installations.c.name, sa.func.count()).where(*reported).group_by(installations.c.name)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return {row[0]: row[1] for row in rows if row[0]}


def _under_way(row: sa.Row[Any]) -> OrderUnderWay:
    return OrderUnderWay(
        state=row.state or "",
        directory=row.directory or "",
        url=row.url or "",
        cause=cause_of(row.reason),
        deadline=row.deadline,
        lease_owner=row.lease_owner or "",
        lease_until=row.lease_until or 0,
        created_at=row.created_at or 0,
        updated_at=row.updated_at or 0,
    )
