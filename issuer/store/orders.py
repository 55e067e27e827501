"""The ``orders`` table: attempts under way, each under the lease of one issuer process.

Row locks and GET_LOCK do not reach across Galera nodes; a committed change does. So a lease is taken by a conditional
UPDATE, and the unique ``active_name`` prevents a second order for the same certificate.
"""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from issuer.model.errors import GivenUp, LeaseLost, StoreError
from issuer.model.limits import names_text
from issuer.model.orders import Cause, OrderRecord, OrderState, check_move
from issuer.store.cells import believable, from_row, known
from issuer.store.database import Database, insert
from issuer.store.tables import challenges, orders

LEASE_SECONDS = 600
_UNDER_WAY = sa.select(orders).where(orders.c.active_name == sa.bindparam("the_name"))


def free(now: Any) -> sa.ColumnElement[bool]:
    """Has no issuer a lease on an order at *now*?"""
    ended = sa.not_(believable(orders.c.lease_until, now, LEASE_SECONDS))
    return sa.or_(orders.c.lease_owner.is_(None), orders.c.lease_until.is_(None), ended)


FREE = free(sa.bindparam("now", type_=sa.BigInteger))
_LEASED_TO_US = orders.c.lease_owner == sa.bindparam("us")
_FREE_OR_OURS = sa.or_(FREE, _LEASED_TO_US)
_TAKE = orders.update().where(orders.c.active_name == sa.bindparam("the_name"), _FREE_OR_OURS)
_CHANGE = orders.update().where(orders.c.id == sa.bindparam("number"), orders.c.active_name > "", _LEASED_TO_US)
_OURS = sa.select(orders.c.id).where(_LEASED_TO_US)
_LEFT = sa.union(  # a question for each, through an index
    _OURS.where(orders.c.active_name > ""), _OURS.where(orders.c.id.in_(sa.select(challenges.c.order_id)))
)
_END = sa.select(orders.c.error).where(orders.c.id == sa.bindparam("number"), orders.c.state == OrderState.FAILED.value)
_CAUSES = {cause.value for cause in Cause}


class OrderSeals(Protocol):
    """Proves that issuers wrote the orders, as issuer/trust/seals.py does."""

    def of_order(self, record: OrderRecord) -> str:
        """The seal of an order that is under way as it is. Raises ConfigError."""

    def wrote(self, record: OrderRecord, seal: str) -> bool:
        """Is *seal* that of *record*?"""


class Orders:
    """An OrderStore (issuer/journey/ports.py), which describes the methods that have no words here, as one issuer
    process sees it. *owner* names that process, unique among all. Each row under way has a seal: a thief in the
    database must not choose what an issuer follows. Without *seals* none is made or believed. Raises StoreError."""

    def __init__(self, database: Database, owner: str, seals: OrderSeals | None = None):
        self._database = database
        self._owner = owner
        self._seals = seals

    def open(self, planned: OrderRecord, names: Sequence[str]) -> OrderRecord | None:
        """An order of our own that is under way is returned: the answer to our own INSERT may have been lost."""
        row = {
            "name": planned.name,
            "active_name": planned.name,
            "names": names_text(names),
            "state": planned.state.value,
            "directory": planned.directory,
            "reason": planned.cause.value,
            "replaces": planned.replaces or None,
            "csr_sha256": planned.csr_sha256 or None,
            "created_at": planned.created_at,
            "updated_at": planned.created_at,
            "seal": self._seal(planned),
            **self._lease(planned.created_at),
        }
        try:
            # a power cut may forget it, until the CA's order makes it worth remembering
            number = self._database.write(lambda connection: insert(connection, orders, row), durable=False)
        except StoreError as error:
            if not isinstance(error.__cause__, sa.exc.IntegrityError):
                raise
            found = self._under_way(planned.name)
            ours = found is not None and (found["lease_owner"], found["state"]) == (self._owner, row["state"])
            return self._record(found) if found is not None and ours else None
        return dataclasses.replace(planned, id=number)

    def under_way(self, now: int) -> list[OrderRecord]:
        return self._all_under_way(FREE, now)

    def withheld(self, now: int) -> list[OrderRecord]:
        ours, leased = orders.c.lease_owner == self._owner, sa.not_(FREE)
        theirs = [one for one in self._all_under_way(leased & ~ours, now) if not one.may_be_leased(now)]
        return theirs + [one for one in self._all_under_way(leased & ours, now) if not one.sealed]

    def elsewhere(self, name: str, now: int) -> OrderRecord | None:
        leased = sa.and_(sa.not_(FREE), orders.c.lease_owner != self._owner, orders.c.active_name == name)
        return next(iter(self._all_under_way(leased, now)), None)

    def urls(self, directory: str, most: int) -> list[str]:
        """URLs of orders under way at a CA, of *most* rows the newest. None that no issuer wrote: they are asked."""
        known = (orders.c.active_name > "", orders.c.directory == directory, orders.c.url > "")
        query = sa.select(orders).where(*known).order_by(orders.c.id.desc()).limit(most)
        rows = self._database.read(lambda connection: connection.execute(query).mappings().all())
        return [record.url for record in map(self._record, rows) if record is not None and record.sealed]

    def claim(self, name: str, now: int) -> OrderRecord | None:
        """None too if only another version of certfleet knows its state."""
        found = self._under_way(name)
        if found is None or self._record(found) is None:
            return None
        taking = {"the_name": name, "now": now, "us": self._owner, **self._lease(now)}
        if not self._database.write(lambda connection: connection.execute(_TAKE, taking).rowcount):
            return None
        # read again after the commit: on a cluster the loser of two claims learns it there
        row = self._under_way(name)
        return self._record(row) if row is not None and row["lease_owner"] == self._owner else None

    def end_left(self, records: Sequence[OrderRecord], reason: str, now: int) -> list[OrderRecord]:
        number, theirs = orders.c.id, orders.c.lease_owner != self._owner
        planted = [record.id for record in records if not record.sealed]
        too_long = [record.id for record in records if not record.may_be_leased(now)]
        may_end = sa.or_(FREE, number.in_(planted), number.in_(too_long) & theirs)

        def end(connection: sa.Connection) -> set[int]:
            these = (number.in_([record.id for record in records]), orders.c.active_name > "", may_end)
            left = sa.select(number).where(*these).with_for_update()
            found = set(connection.scalars(left, {"now": now}))
            connection.execute(orders.update().where(orders.c.id.in_(found)).values(**_given_up(reason, now)))
            return found

        ended = self._database.write(end)
        return [record for record in records if record.id in ended]

    def let_go_left(self) -> None:
        """Also those on ended orders that still have challenges to withdraw."""
        found = self._database.read(lambda connection: list(connection.scalars(_LEFT, {"us": self._owner})))
        if found:
            self._release(orders.c.id.in_(found), durable=False)

    def take_from_hand(self, names: Collection[str], now: int) -> None:
        """Make the orders of *names* that are by hand ordinary ones, unless another process has the lease."""
        theirs = (orders.c.active_name.in_(names), orders.c.reason == Cause.BY_HAND.value, _FREE_OR_OURS)
        asked = {"now": now, "us": self._owner}

        def work(connection: sa.Connection) -> None:
            for row in connection.execute(sa.select(orders).where(*theirs).with_for_update(), asked).mappings().all():
                record = self._record(row)
                values = {"reason": Cause.WISH.value}
                if record is not None and record.sealed:  # one that is planted is told by the next attempt
                    values["seal"] = self._seal(dataclasses.replace(record, cause=Cause.WISH))
                connection.execute(orders.update().where(orders.c.id == row["id"]).values(values))

        self._database.write(work)

    def save(self, old: OrderRecord, new: OrderRecord, now: int) -> OrderRecord:
        """The order's URL survives a power cut: nobody can tell it again. The CA knows the steps after it."""
        if new.state is not old.state:
            check_move(old.state, new.state)
        values: dict[str, object] = {"state": new.state.value, "url": new.url, "reason": new.cause.value}
        values |= {"deadline": new.deadline, "updated_at": now, "lease_until": now + LEASE_SECONDS}
        values["seal"] = self._seal(new)
        self._change(new, values, durable=new.url != old.url)
        return new

    def fail(self, record: OrderRecord, reason: str, now: int) -> OrderRecord:
        failed = dataclasses.replace(record, state=OrderState.FAILED, deadline=None)
        if record.sealed:  # a record that no issuer wrote may be in any state
            check_move(record.state, failed.state)
        values = {"state": failed.state.value, "error": reason, "deadline": None, "seal": None, "updated_at": now}
        self._change(failed, {"active_name": None, "lease_owner": None, **values})
        return failed

    def drop(self, record: OrderRecord) -> None:
        gone = orders.delete().where(orders.c.id == record.id, orders.c.lease_owner == self._owner)
        self._database.write(lambda connection: connection.execute(gone))

    def release(self, record: OrderRecord) -> None:
        self._release(orders.c.id == record.id)

    def _all_under_way(self, these: sa.ColumnElement[bool], now: int) -> list[OrderRecord]:
        query = sa.select(orders).where(orders.c.active_name > "", these).order_by(orders.c.active_name)
        rows = self._database.read(lambda connection: connection.execute(query, {"now": now}).mappings().all())
        return [record for record in map(self._record, rows) if record is not None]

    def _release(self, these: sa.ColumnElement[bool], *, durable: bool = True) -> None:
        ours = orders.update().where(these, orders.c.lease_owner == self._owner)
        change = ours.values(lease_owner=None, lease_until=None)
        self._database.write(lambda connection: connection.execute(change), durable=durable)

    def _lease(self, now: int) -> dict[str, object]:
        return {"lease_owner": self._owner, "lease_until": now + LEASE_SECONDS}

    def _record(self, row: sa.RowMapping) -> OrderRecord | None:
        state = known(OrderState, row["state"], orders.name, row["name"])
        if state is None:
            return None
        record = from_row(OrderRecord, row, state=state, cause=cause_of(row["reason"]), sealed=True)
        if row["active_name"] != record.name or self._seals is None:
            return dataclasses.replace(record, sealed=False)
        return dataclasses.replace(record, sealed=self._seals.wrote(record, row["seal"]))

    def _seal(self, record: OrderRecord) -> str:
        return self._seals.of_order(record) if self._seals is not None else ""

    def _under_way(self, name: str) -> sa.RowMapping | None:
        look = {"the_name": name}
        return self._database.read(lambda connection: connection.execute(_UNDER_WAY, look).mappings().one_or_none())

    def _change(self, record: OrderRecord, values: dict[str, object], *, durable: bool = True) -> None:
        change = {"number": record.id, "us": self._owner, **values}
        if not self._database.write(lambda connection: connection.execute(_CHANGE, change).rowcount, durable=durable):
            look = {"number": record.id}
            ended = self._database.read(lambda connection: connection.execute(_END, look).one_or_none())
            if ended is not None:
                raise GivenUp(record.name, ended.error)
            raise LeaseLost(
                f"another issuer took over the order for {record.name}",
                hint="no action needed; that issuer goes on with it",
            )


def give_up(connection: sa.Connection, name: str, reason: str, now: int, *, leased: bool = False) -> int:
    """End the order under way for *name* as FAILED, an order with a lease only if *leased*; returns how many.

    The lease stays until its owner notices: meanwhile nobody withdraws what that owner may be about to publish.
    """
    ended = orders.update().where(orders.c.active_name == sa.bindparam("the_name"), sa.true() if leased else FREE)
    change = ended.values(**_given_up(reason, now))
    return connection.execute(change, {"the_name": name, "now": now}).rowcount


def _given_up(reason: str, now: int) -> dict[str, object]:
    change = {"state": OrderState.FAILED.value, "error": reason, "active_name": None, "seal": None}
    return {**change, "deadline": None, "updated_at": now}


def cause_of(reason: str) -> Cause:
    """Why an order was opened. An earlier version wrote other words for Cause.WISH alone."""
    return Cause(reason) if reason in _CAUSES else Cause.WISH
