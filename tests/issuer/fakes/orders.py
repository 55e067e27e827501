"""The orders and their counts in memory, with leases as the database has them."""

import dataclasses
from collections.abc import Sequence

from issuer.model.errors import GivenUp, LeaseLost
from issuer.model.limits import Limit
from issuer.model.moments import CLOCKS_APART
from issuer.model.orders import BY_WINDOW, OrderRecord, OrderState, check_move
from issuer.store.orders import LEASE_SECONDS
from tests.issuer.fakes.tables import OrderRow, Tables


class MemoryOrders:
    """An OrderStore, as the issuer *owner* sees it."""

    def __init__(self, tables: Tables, owner: str):
        self._tables, self._owner = tables, owner

    def open(self, planned: OrderRecord, names: Sequence[str]) -> OrderRecord | None:
        with self._tables.lock:
            found = self._tables.active(planned.name)
            if found is not None:
                ours = (found.holder, found.record.state) == (self._owner, OrderState.PLANNED)
                return found.record if ours else None
            number = next(self._tables.numbers)
            record = dataclasses.replace(planned, id=number)
            now = planned.created_at
            until = now + LEASE_SECONDS
            self._tables.orders[number] = OrderRow(record, tuple(sorted(names)), self._owner, until, now)
            return record

    def claim(self, name: str, now: int) -> OrderRecord | None:
        with self._tables.lock:
            found = self._tables.active(name)
            if found is None or not (found.free(now) or found.holder == self._owner):
                return None
            found.holder, found.lease_until = self._owner, now + LEASE_SECONDS
            return found.record

    def under_way(self, now: int) -> list[OrderRecord]:
        with self._tables.lock:
            free = [row.record for row in self._tables.orders.values() if row.active and row.free(now)]
            return sorted(free, key=lambda record: record.name)

    def withheld(self, now: int) -> list[OrderRecord]:
        with self._tables.lock:
            rows = [row for row in self._tables.orders.values() if row.active and not row.free(now)]
            return [row.record for row in rows if not self._may_lease(row, now)]

    def elsewhere(self, name: str, now: int) -> OrderRecord | None:
        with self._tables.lock:
            found = self._tables.active(name)
            theirs = found is not None and not found.free(now) and found.holder != self._owner
            return found.record if found is not None and theirs else None

    def save(self, old: OrderRecord, new: OrderRecord, now: int) -> OrderRecord:
        if new.state is not old.state:
            check_move(old.state, new.state)
        with self._tables.lock:
            row = self._ours(new)
            row.record, row.updated_at, row.lease_until = new, now, now + LEASE_SECONDS
            return new

    def fail(self, record: OrderRecord, reason: str, now: int) -> OrderRecord:
        failed = dataclasses.replace(record, state=OrderState.FAILED, deadline=None)
        if record.sealed:
            check_move(record.state, failed.state)
        with self._tables.lock:
            row = self._ours(record)
            self._tables.end(row, failed, now, reason)
            row.holder = None
            return failed

    def end_left(self, records: Sequence[OrderRecord], reason: str, now: int) -> list[OrderRecord]:
        with self._tables.lock:
            return [record for record in records if self._end_left(record, reason, now)]

    def _end_left(self, record: OrderRecord, reason: str, now: int) -> bool:
        row = self._tables.active(record.name)
        if row is None or row.record.id != record.id or not (row.free(now) or not self._may_lease(row, now)):
            return False
        self._tables.end(row, dataclasses.replace(row.record, state=OrderState.FAILED, deadline=None), now, reason)
        return True

    def _may_lease(self, row: OrderRow, now: int) -> bool:
        return row.record.sealed if row.holder == self._owner else row.record.may_be_leased(now)

    def let_go_left(self) -> None:
        with self._tables.lock:
            for row in self._tables.orders.values():
                if row.holder == self._owner:
                    row.holder = None

    def drop(self, record: OrderRecord) -> None:
        with self._tables.lock:
            if self._holds(record):
                del self._tables.orders[record.id]

    def release(self, record: OrderRecord) -> None:
        with self._tables.lock:
            if self._holds(record):
                self._tables.orders[record.id].holder = None

    def _holds(self, record: OrderRecord) -> bool:
        row = self._tables.orders.get(record.id)
        return row is not None and row.holder == self._owner

    def _ours(self, record: OrderRecord) -> OrderRow:
        """The row of an order under way in our hands. Raises GivenUp, LeaseLost."""
        row = self._tables.leased(record, self._owner)
        if row is not None:
            return row
        there = self._tables.orders.get(record.id)
        if there is not None and there.record.state is OrderState.FAILED:
            raise GivenUp(record.name, there.reason)
        raise LeaseLost(f"another issuer took over the order for {record.name}")


class MemoryCounts:
    """OrderCounts."""

    def __init__(self, tables: Tables):
        self._tables = tables

    def orders(self, directory: str, limit: Limit, now: int, *, besides: int) -> list[int]:
        newest = self._newest(directory, limit, now, besides)
        counted = [row for row in newest if limit.in_window or not _by_window(row.record)]
        return [row.record.created_at for row in counted if row.record.url or row.active][: limit.count]

    def certificates(
        self, directory: str, limit: Limit, now: int, *, besides: int, names: Sequence[str], domain: str
    ) -> tuple[list[int], int]:
        rows = [
            row
            for row in self._newest(directory, limit, now, besides)
            if (row.active or row.record.state is OrderState.STORED)
            and _fits(row, names, domain)
            and (limit.in_window or not domain or not _by_window(row.record))
        ][: limit.count]
        return [row.updated_at for row in rows if not row.active], sum(row.active for row in rows)

    def _newest(self, directory: str, limit: Limit, now: int, besides: int) -> list[OrderRow]:
        with self._tables.lock:
            rows = [
                row
                for row in self._tables.orders.values()
                if now - limit.seconds < row.record.created_at <= now + CLOCKS_APART
                and row.record.directory == directory
                and row.record.id != besides
            ]
        return sorted(rows, key=lambda row: row.record.created_at, reverse=True)


def _by_window(record: OrderRecord) -> bool:
    return bool(record.replaces) and record.cause in BY_WINDOW


def _fits(row: OrderRow, names: Sequence[str], domain: str) -> bool:
    if not domain:
        return row.names == tuple(sorted(names))
    return any(f".{name}".endswith(f".{domain}") for name in row.names)
