"""The tables of the database in memory: what all issuers share. The stores beside this file act on them."""

import dataclasses
import itertools
import threading
from dataclasses import dataclass, field

from common.certificate import Bundle
from issuer.model.acme import Challenge
from issuer.model.enrolment import Enrolment
from issuer.model.failure import Failure
from issuer.model.moments import believable
from issuer.model.orders import OrderRecord, OrderState
from issuer.store.orders import LEASE_SECONDS


@dataclass
class OrderRow:
    """*holder* is the owner of the lease; *active*: is it under way?"""

    record: OrderRecord
    names: tuple[str, ...]
    holder: str | None
    lease_until: int
    updated_at: int
    active: bool = True
    reason: str = ""

    def free(self, now: int) -> bool:
        """Is it in nobody's hands? A lease that ends too far ahead was written by a clock that was wrong."""
        return self.holder is None or not believable(self.lease_until, now, LEASE_SECONDS)


@dataclass
class Tables:
    """Change them only under *lock*: each method of a store is a transaction."""

    certs: dict[str, Enrolment] = field(default_factory=dict)
    old_pairs: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    versions: list[tuple[str, Bundle]] = field(default_factory=list)
    news: list[tuple[str, str]] = field(default_factory=list)  # about the CA, by name of the certificate
    unapproved: set[str] = field(default_factory=set)  # SHA-256 of versions that no host got
    orders: dict[int, OrderRow] = field(default_factory=dict)
    challenges: dict[int, tuple[int, Challenge]] = field(default_factory=dict)  # by row number: order, and entry
    holds: dict[tuple[str, str], tuple[int, Failure]] = field(default_factory=dict)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    lock: "threading.RLock" = field(default_factory=threading.RLock)

    def row(self, name: str) -> Enrolment:
        """A row as it is read: for a change it is worth knowing which CSR the order under way is for."""
        row, order = self.certs[name], self.active(name)
        if row.change is None or order is None:
            return row
        return dataclasses.replace(row, ordered=order.record.csr_sha256)

    def active(self, name: str) -> OrderRow | None:
        """The order under way for a certificate: there is one at most."""
        return next((row for row in self.orders.values() if row.active and row.record.name == name), None)

    def end(self, row: OrderRow, record: OrderRecord, now: int, reason: str = "") -> None:
        """An order has ended; its certificate is free for a new one."""
        row.record, row.active, row.updated_at, row.reason = record, False, now, reason

    def leased(self, record: OrderRecord, owner: str) -> OrderRow | None:
        """The row of an order that is under way in the hands of *owner*."""
        row = self.orders.get(record.id)
        return row if row is not None and row.active and row.holder == owner else None

    def states(self, name: str = "") -> list[OrderState]:
        """Of every order, or of those of one certificate; the oldest first."""
        return [row.record.state for row in self.orders.values() if name in ("", row.record.name)]
