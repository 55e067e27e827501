"""Keeps orders inside the limits that a CA publishes.

The row of an order in the database is its place in the limits: it is inserted, counted with all others, and dropped
again where there is no room. So the limits hold for several issuers at once. Two that insert at the same instant may
both see one too many and both step back; they never both go on.
"""

import contextlib
import functools
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from publicsuffixlist import PublicSuffixList

from common.names import is_address
from issuer.model.limits import CaLimits, Limit

_LOOK_AGAIN = 3600  # seconds after which a failed order has made room again


class OrderCounts(Protocol):
    """Counts towards the limits of a CA, of all issuers on the database. Raises StoreError."""

    def orders(self, directory: str, limit: Limit, now: int, *, besides: int) -> list[int]:
        """The moments at which the newest orders in the span of *limit* were opened, ``limit.count`` at most, without
        the order of id *besides*. One that replaces a certificate in its window counts where the limit says so."""

    def certificates(
        self, directory: str, limit: Limit, now: int, *, besides: int, names: Sequence[str], domain: str
    ) -> tuple[list[int], int]:
        """The moments at which the newest certificates were stored for exactly *names*, or with a name in *domain*; and
        the number of orders under way that may become one. For a domain, one that replaces another in its window counts
        where the limit says so; for *names* each counts."""


class Pacing:
    """The limits of one CA, for all workers of a process. Insert an order's row and call :meth:`free_at` inside ``with
    pacing.turn``, so that two workers never both step back."""

    def __init__(self, directory: str, limits: CaLimits, counts: OrderCounts):
        self._directory = directory
        self._limits = limits
        self._counts = counts
        limited = limits.new_orders.count or limits.per_domain.count or limits.per_name_set.count
        self.turn: AbstractContextManager[object] = threading.Lock() if limited else contextlib.nullcontext()

    def free_at(
        self,
        names: Sequence[str],
        now: int,
        *,
        renewal: bool,
        in_window: bool = False,
        besides: int = 0,
    ) -> int:
        """*now* (epoch seconds) if there is room for an order for *names*, else the moment at which there may be.
        *renewal*: the same CA issued for just these names before. *in_window*: it replaces that certificate at the
        moment that the CA suggested. *besides*: the id of the order itself, if its row is inserted. Raises
        StoreError."""
        limits = self._limits.in_window if in_window else self._limits
        moments = [self._for_certificates(limits.per_name_set, now, besides, names=names)]
        if not (renewal and limits.renewals_exempt):
            moments.append(limits.new_orders.free_at(self._orders(limits.new_orders, now, besides), now))
            moments += [
                self._for_certificates(limits.per_domain, now, besides, domain=domain)
                for domain in (_registered_domains(names) if limits.per_domain.count else ())
            ]
        return max(moments)

    def again_at(self, ordered: Sequence[int], now: int) -> int:
        """*now* (epoch seconds) if one more order for a certificate may follow those *ordered* before, else the moment
        from which on it may. This issuer remembers them without the database, where somebody may delete orders."""
        return self._limits.of_one_name.free_at(ordered, now)

    def issued_again_at(self, issued: Sequence[int], now: int) -> int:
        """The same for certificates that were *issued* for just these names. A window, which may be forged there,
        counts for nothing."""
        return self._limits.per_name_set.free_at(issued, now)

    def left(self, now: int) -> int | None:
        """How many new orders fit in now; None without a limit. Raises StoreError."""
        limit = self._limits.new_orders
        return limit.count - len(self._orders(limit, now, 0)) if limit.count else None

    def _orders(self, limit: Limit, now: int, besides: int) -> list[int]:
        """The moments at which the newest orders that count were opened: no more of them than the limit allows."""
        return self._counts.orders(self._directory, limit, now, besides=besides) if limit.count else []

    def _for_certificates(
        self, limit: Limit, now: int, besides: int, *, names: Sequence[str] = (), domain: str = ""
    ) -> int:
        if not limit.count:
            return now
        issued, coming = self._counts.certificates(
            self._directory, limit, now, besides=besides, names=names, domain=domain
        )
        again = min(now, now - limit.seconds + _LOOK_AGAIN)  # each is counted as if it left the span then
        return limit.free_at([*issued, *[again] * coming], now)


@functools.cache
def _suffixes() -> PublicSuffixList:
    """Parsed when the first order is counted: that takes a while, and most runs count none."""
    return PublicSuffixList()


def _registered_domains(names: Sequence[str]) -> set[str]:
    """The domains under a public suffix that *names* lie in. An address counts by itself."""
    bases = {name.removeprefix("*.") for name in names}
    return {base if is_address(base) else _suffixes().privatesuffix(base) or base for base in bases}
