"""The ``orders`` table: attempts under way, each under the lease of one issuer process.

Row locks and GET_LOCK do not reach across Galera nodes; what does is a committed change. So a lease is taken by a
conditional UPDATE and the unique ``active_name`` keeps a second order for the same certificate from being opened.
"""

import dataclasses

import sqlalchemy as sa

from issuer.errors import LeaseLost, StoreError
from issuer.order_states import OrderRecord, OrderState, check_move
from issuer.store.database import Database
from issuer.store.tables import orders

LEASE_SECONDS = 600


class Orders:
    """Orders as one issuer process sees them. *owner* names that process, unique among all."""

    def __init__(self, database: Database, owner: str):
        self._database = database
        self._owner = owner

    def open(self, name: str, directory: str, reason: str, now: int, replaces: str = "") -> OrderRecord | None:
        """A new order in PLANNED under our lease; None when another issuer has one under way for the certificate.

        One of our own under way is returned instead: the answer to our own INSERT may have been lost on its way.
        """
        row = {
            "name": name,
            "active_name": name,
            "state": OrderState.PLANNED.value,
            "directory": directory,
            "reason": reason,
            "replaces": replaces or None,
            "created_at": now,
            "updated_at": now,
        }
        insert = orders.insert().values(lease_owner=self._owner, lease_until=now + LEASE_SECONDS, **row)
        try:
            number = self._database.write(lambda connection: _insert(connection, insert))
        except StoreError as error:
            if isinstance(error.__cause__, sa.exc.IntegrityError):
                return self.claim(name, now)
            raise
        return OrderRecord(
            id=number, name=name, state=OrderState.PLANNED, directory=directory, reason=reason, replaces=replaces
        )

    def under_way(self, now: int) -> list[OrderRecord]:
        """Orders that have not ended and that no living process holds: what a crash or a stop left behind."""
        free = sa.or_(orders.c.lease_owner.is_(None), orders.c.lease_until < now)
        query = sa.select(orders).where(orders.c.active_name > "", free).order_by(orders.c.active_name)
        return self._database.read(lambda connection: [_record(row) for row in connection.execute(query).mappings()])

    def claim(self, name: str, now: int) -> OrderRecord | None:
        """Take over the order under way for *name*; None if there is none or another process holds it."""
        mine = sa.or_(orders.c.lease_owner.is_(None), orders.c.lease_until < now, orders.c.lease_owner == self._owner)
        take = orders.update().where(orders.c.active_name == name, mine)
        taken = take.values(lease_owner=self._owner, lease_until=now + LEASE_SECONDS)
        if not self._database.write(lambda connection: connection.execute(taken).rowcount):
            return None
        # read again after the commit: on a cluster the loser of two claims learns it there
        held = sa.select(orders).where(orders.c.active_name == name, orders.c.lease_owner == self._owner)
        row = self._database.read(lambda connection: connection.execute(held).mappings().one_or_none())
        return _record(row) if row is not None else None

    def save(self, old: OrderRecord, new: OrderRecord, now: int) -> OrderRecord:
        """Save a step and extend the lease; LeaseLost if another process took the order over meanwhile."""
        if new.state is not old.state:
            check_move(old.state, new.state)
        values: dict[str, object] = {"state": new.state.value, "url": new.url, "reason": new.reason}
        values |= {"deadline": new.deadline, "updated_at": now}
        self._change(new, lease_until=now + LEASE_SECONDS, **values)
        return new

    def fail(self, record: OrderRecord, reason: str, now: int) -> OrderRecord:
        """End the order as FAILED; the certificate is free for a new one."""
        failed = dataclasses.replace(record, state=OrderState.FAILED, deadline=None)
        check_move(record.state, failed.state)
        values = {"state": failed.state.value, "error": reason, "deadline": None, "updated_at": now}
        self._change(failed, active_name=None, lease_owner=None, **values)
        return failed

    def drop(self, record: OrderRecord) -> None:
        """Forget an order that never reached the CA, because the certificate turned out not to need it."""
        gone = orders.delete().where(orders.c.id == record.id, orders.c.lease_owner == self._owner)
        self._database.write(lambda connection: connection.execute(gone))

    def release(self, record: OrderRecord) -> None:
        """Let any issuer go on with this order at once."""
        free = orders.update().where(orders.c.id == record.id, orders.c.lease_owner == self._owner)
        self._database.write(lambda connection: connection.execute(free.values(lease_owner=None, lease_until=None)))

    def _change(self, record: OrderRecord, **values: object) -> None:
        change = orders.update().where(orders.c.id == record.id, orders.c.lease_owner == self._owner)
        if not self._database.write(lambda connection: connection.execute(change.values(**values)).rowcount):
            raise LeaseLost(f"another issuer took over the order for {record.name}", hint="nothing; it goes on there")


def _insert(connection: sa.Connection, insert: sa.Insert) -> int:
    key = connection.execute(insert).inserted_primary_key
    assert key is not None  # noqa: S101 - the table counts up by itself
    return int(key[0])


def _record(row: sa.RowMapping) -> OrderRecord:
    return OrderRecord(
        id=row["id"],
        name=row["name"],
        state=OrderState(row["state"]),
        directory=row["directory"],
        url=row["url"] or "",
        reason=row["reason"] or "",
        replaces=row["replaces"] or "",
        deadline=row["deadline"],
    )
