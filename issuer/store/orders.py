"""The ``orders`` table: attempts under way, each under the lease of one issuer process.

Row locks and GET_LOCK do not reach across Galera nodes; what does is a committed change. So a lease is taken by a
conditional UPDATE and the unique ``active_name`` keeps a second order for the same certificate from being opened.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from issuer.model.errors import GivenUp, LeaseLost, StoreError
from issuer.model.limits import names_text
from issuer.model.orders import Cause, OrderRecord, OrderState, check_move
from issuer.store.cells import believable, known
from issuer.store.database import Database
from issuer.store.tables import challenges, orders

LEASE_SECONDS = 600
_UNDER_WAY = sa.select(orders).where(orders.c.active_name == sa.bindparam("the_name"))


def free(now: Any) -> sa.ColumnElement[bool]:
    """Does no issuer work on an order at *now*?"""
    return sa.or_(orders.c.lease_owner.is_(None), sa.not_(believable(orders.c.lease_until, now, LEASE_SECONDS)))


FREE = free(sa.bindparam("now", type_=sa.BigInteger))
_FREE_OR_OURS = sa.or_(FREE, orders.c.lease_owner == sa.bindparam("us"))
_TAKE = orders.update().where(orders.c.active_name == sa.bindparam("the_name"), _FREE_OR_OURS)
_CHANGE = orders.update().where(
    orders.c.id == sa.bindparam("number"), orders.c.active_name > "", orders.c.lease_owner == sa.bindparam("us")
)
_OURS = sa.select(orders.c.id).where(orders.c.lease_owner == sa.bindparam("us"))
_LEFT = sa.union(  # a question for each, through an index
    _OURS.where(orders.c.active_name > ""), _OURS.where(orders.c.id.in_(sa.select(challenges.c.order_id)))
)
_END = sa.select(orders.c.error).where(orders.c.id == sa.bindparam("number"), orders.c.state == OrderState.FAILED.value)


_CAUSES = {cause.value for cause in Cause}


class Orders:
    """Orders as one issuer process sees them. *owner* names that process, unique among all."""

    def __init__(self, database: Database, owner: str):
        self._database = database
        self._owner = owner

    def open(
        self, name: str, directory: str, cause: Cause, now: int, replaces: str = "", *, names: Sequence[str] = ()
    ) -> OrderRecord | None:
        """A new order for *names* in PLANNED under our lease; None when another issuer has one under way for the
        certificate.

        One of our own under way is returned instead: the answer to our own INSERT may have been lost on its way.
        """
        row = {
            "name": name,
            "active_name": name,
            "names": names_text(names),
            "state": OrderState.PLANNED.value,
            "directory": directory,
            "reason": cause.value,
            "replaces": replaces or None,
            "lease_owner": self._owner,
            "lease_until": now + LEASE_SECONDS,
            "created_at": now,
            "updated_at": now,
        }
        try:
            # a power cut may forget it, until the CA's order makes it worth remembering
            number = self._database.write(lambda connection: _insert(connection, row), durable=False)
        except StoreError as error:
            if isinstance(error.__cause__, sa.exc.IntegrityError):
                found = self._under_way(name)
                ours = found is not None and (found["lease_owner"], found["state"]) == (self._owner, row["state"])
                return _record(found) if found is not None and ours else None
            raise
        return OrderRecord(
            id=number,
            name=name,
            state=OrderState.PLANNED,
            directory=directory,
            created_at=now,
            cause=cause,
            replaces=replaces,
        )

    def under_way(self, now: int) -> list[OrderRecord]:
        """Orders that have not ended and that no living process holds: what a crash or a stop left behind."""
        query = sa.select(orders).where(orders.c.active_name > "", FREE).order_by(orders.c.active_name)
        rows = self._database.read(lambda connection: connection.execute(query, {"now": now}).mappings().all())
        return [record for record in map(_record, rows) if record is not None]

    def claim(self, name: str, now: int) -> OrderRecord | None:
        """Take over the order under way for *name*; None if there is none, another process holds it, or only another
        version knows its state."""
        found = self._under_way(name)
        if found is None or _record(found) is None:
            return None
        lease = {"lease_owner": self._owner, "lease_until": now + LEASE_SECONDS}
        taking = {"the_name": name, "now": now, "us": self._owner, **lease}
        if not self._database.write(lambda connection: connection.execute(_TAKE, taking).rowcount):
            return None
        # read again after the commit: on a cluster the loser of two claims learns it there
        row = self._under_way(name)
        return _record(row) if row is not None and row["lease_owner"] == self._owner else None

    def end_left(self, record: OrderRecord, reason: str, now: int) -> bool:
        """End an order as FAILED that no process holds; False if one does, or it has ended meanwhile."""
        return self._database.write(lambda connection: give_up(connection, record.name, reason, now)) > 0

    def let_go_left(self) -> None:
        """Free what a killed process of this issuer holds still: orders under way, and ended ones with something to be
        taken back. Only under the issuer's lock, before anything is begun."""
        found = self._database.read(lambda connection: list(connection.scalars(_LEFT, {"us": self._owner})))
        if found:
            free = orders.update().where(orders.c.id.in_(found), orders.c.lease_owner == self._owner)
            nobodys = free.values(lease_owner=None, lease_until=None)
            self._database.write(lambda connection: connection.execute(nobodys), durable=False)

    def take_from_hand(self, names: Collection[str], now: int) -> None:
        """Make orders that are in a person's hands ordinary ones, those aside that another process works on now."""
        theirs = (orders.c.active_name.in_(names), orders.c.reason == Cause.BY_HAND.value, _FREE_OR_OURS)
        change = orders.update().where(*theirs).values(reason=Cause.WISH.value)
        asked = {"now": now, "us": self._owner}
        self._database.write(lambda connection: connection.execute(change, asked))

    def save(self, old: OrderRecord, new: OrderRecord, now: int) -> OrderRecord:
        """Save a step and extend the lease; LeaseLost if another process took the order over, GivenUp if it was ended.

        The order's URL survives a power cut, for nobody can tell it again; the CA knows the steps after it.
        """
        if new.state is not old.state:
            check_move(old.state, new.state)
        values: dict[str, object] = {"state": new.state.value, "url": new.url, "reason": new.cause.value}
        values |= {"deadline": new.deadline, "updated_at": now, "lease_until": now + LEASE_SECONDS}
        self._change(new, values, durable=new.url != old.url)
        return new

    def fail(self, record: OrderRecord, reason: str, now: int) -> OrderRecord:
        """End the order as FAILED; the certificate is free for a new one."""
        failed = dataclasses.replace(record, state=OrderState.FAILED, deadline=None)
        check_move(record.state, failed.state)
        values = {"state": failed.state.value, "error": reason, "deadline": None, "updated_at": now}
        self._change(failed, {"active_name": None, "lease_owner": None, **values})
        return failed

    def drop(self, record: OrderRecord) -> None:
        """Forget an order that never reached the CA, because the certificate turned out not to need it."""
        gone = orders.delete().where(orders.c.id == record.id, orders.c.lease_owner == self._owner)
        self._database.write(lambda connection: connection.execute(gone))

    def release(self, record: OrderRecord) -> None:
        """Let any issuer go on with this order at once."""
        free = orders.update().where(orders.c.id == record.id, orders.c.lease_owner == self._owner)
        self._database.write(lambda connection: connection.execute(free.values(lease_owner=None, lease_until=None)))

    def _under_way(self, name: str) -> sa.RowMapping | None:
        look = {"the_name": name}
        return self._database.read(lambda connection: connection.execute(_UNDER_WAY, look).mappings().one_or_none())

    def _change(self, record: OrderRecord, values: dict[str, object], *, durable: bool = True) -> None:
        change = {"number": record.id, "us": self._owner, **values}
        if not self._database.write(lambda connection: connection.execute(_CHANGE, change).rowcount, durable=durable):
            look = {"number": record.id}
            ended = self._database.read(lambda connection: connection.execute(_END, look).one_or_none())
            if ended is not None:
                raise GivenUp(record.name, ended.error or "")
            raise LeaseLost(f"another issuer took over the order for {record.name}", hint="nothing; it goes on there")


def give_up(connection: sa.Connection, name: str, reason: str, now: int, *, leased: bool = False) -> int:
    """End the order under way for *name* as FAILED; one that an issuer works on only if *leased*. That one keeps its
    lease until it learns of it: nobody takes back meanwhile what it may be about to publish. Returns how many."""
    change = {"state": OrderState.FAILED.value, "error": reason, "active_name": None}
    ended = orders.update().where(orders.c.active_name == sa.bindparam("the_name"), sa.true() if leased else FREE)
    values = ended.values(**change, deadline=None, updated_at=now)
    return connection.execute(values, {"the_name": name, "now": now}).rowcount


def _insert(connection: sa.Connection, row: Mapping[str, object]) -> int:
    key = connection.execute(orders.insert(), row).inserted_primary_key
    assert key is not None  # noqa: S101 - the table counts up by itself
    return int(key[0])


def cause_of(reason: str | None) -> Cause:
    """Why an order was opened. An earlier version wrote the words of a wish: no other cause has any words."""
    return Cause(reason) if reason in _CAUSES else Cause.WISH


def _record(row: sa.RowMapping) -> OrderRecord | None:
    state = known(OrderState, row["state"], orders.name, row["name"])
    if state is None:
        return None
    return OrderRecord(
        id=row["id"],
        name=row["name"] or "",
        state=state,
        directory=row["directory"] or "",
        created_at=row["created_at"] or 0,
        url=row["url"] or "",
        cause=cause_of(row["reason"]),
        replaces=row["replaces"] or "",
        deadline=row["deadline"],
    )
