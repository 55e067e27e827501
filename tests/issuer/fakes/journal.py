"""The challenge journal in memory, with the lease of cleaning up."""

import dataclasses
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType

from issuer.model.acme import Challenge
from issuer.model.errors import BeingTakenBack
from issuer.store.orders import LEASE_SECONDS
from tests.issuer.fakes.tables import OrderRow, Tables


class MemoryJournal:
    """A ChallengeJournal of the issuer *owner*."""

    def __init__(self, tables: Tables, owner: str):
        self._tables = tables
        self.lease = f"{owner}*"
        self.taken: set[int] = set()  # orders, by other blocks of this process

    def add(self, order_id: int, entries: Sequence[Challenge], now: int) -> list[Challenge]:
        with self._tables.lock:
            places = {entry.place for entry in entries}
            self._take_over([entry for entry in self.orphans() if entry.place in places], now)
            there = {(each.url, each.place) for each in self.of(order_id)}
            for entry in entries:
                if (entry.url, entry.place) not in there:
                    number = next(self._tables.numbers)
                    self._tables.challenges[number] = (order_id, dataclasses.replace(entry, id=number))
            return self.of(order_id)

    def of(self, order_id: int) -> list[Challenge]:
        return [entry for order, entry in self._tables.challenges.values() if order == order_id]

    def orphans(self) -> list[Challenge]:
        return [entry for _, entry in self._tables.challenges.values() if not self._under_way(entry)]

    def leased(self, entries: Sequence[Challenge], now: int) -> AbstractContextManager[list[Challenge]]:
        return _Held(self, self._tables, entries, now)

    def forget(self, entries: Sequence[Challenge]) -> None:
        with self._tables.lock:
            for entry in entries:
                self._tables.challenges.pop(entry.id, None)

    def order_of(self, entry: Challenge) -> OrderRow | None:
        """None where the order is gone."""
        order, _ = self._tables.challenges.get(entry.id, (0, entry))
        return self._tables.orders.get(order)

    def _under_way(self, entry: Challenge) -> bool:
        row = self.order_of(entry)
        return row is not None and row.active

    def _take_over(self, left: Sequence[Challenge], now: int) -> None:
        """Rows of ended orders make way for another order's. Raises BeingTakenBack."""
        for entry in left:
            row = self.order_of(entry)
            if row is not None and not row.free(now):
                raise BeingTakenBack(entry.identifier)
        self.forget(left)


class _Held:
    """The block in which nobody else takes the entries back."""

    def __init__(self, journal: MemoryJournal, tables: Tables, entries: Sequence[Challenge], now: int):
        self._journal, self._tables, self._entries, self._now = journal, tables, entries, now
        self._numbers: set[int] = set()

    def __enter__(self) -> list[Challenge]:
        with self._tables.lock:
            known = [entry for entry in self._entries if entry.id in self._tables.challenges]
            orders = {self._tables.challenges[entry.id][0] for entry in known}
            self._numbers = orders - self._journal.taken
            self._journal.taken |= self._numbers
            ours = [entry for entry in known if self._ours(self._tables.challenges[entry.id][0])]
            wanted = {entry.place for entry in self._under_way()}
            self._journal.forget([entry for entry in ours if entry.place in wanted])
            return [entry for entry in ours if entry.place not in wanted]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._tables.lock:
            for number in self._numbers:
                row = self._tables.orders.get(number)
                if row is not None and row.holder == self._journal.lease:
                    row.holder = None
            self._journal.taken -= self._numbers

    def _ours(self, number: int) -> bool:
        """Take the lease of an order that has ended and that nobody is at; is it ours now?"""
        row = self._tables.orders.get(number)
        if row is None:
            return True
        if number not in self._numbers or row.active:
            return False
        if not (row.free(self._now) or row.holder == self._journal.lease):
            return False
        row.holder, row.lease_until = self._journal.lease, self._now + LEASE_SECONDS
        return True

    def _under_way(self) -> Iterable[Challenge]:
        for number, entry in self._tables.challenges.values():
            row = self._tables.orders.get(number)
            if row is not None and row.active:
                yield entry
