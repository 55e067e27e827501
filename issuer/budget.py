"""Keeps our orders inside the CA's limits: says when the next one may be opened. One a CA, shared by the workers."""

import functools
import threading
from collections import defaultdict
from collections.abc import Sequence

from publicsuffixlist import PublicSuffixList

from issuer.limits import CaLimits, names_digest
from issuer.ports import HoldStore


class Budget:
    """Counts what the database knows once, and adds what this process asks for."""

    def __init__(self, directory: str, limits: CaLimits, holds: HoldStore):
        self._directory = directory
        self._limits = limits
        self._holds = holds
        self._lock = threading.Lock()
        self._loaded = False
        self._orders: list[int] = []
        self._by_domain: dict[str, list[int]] = defaultdict(list)
        self._by_set: dict[str, list[int]] = defaultdict(list)

    def take(self, names: Sequence[str], now: int, *, exempt: bool, renewal: bool) -> int:
        """*now* if an order for *names* may be opened, which counts it; else the moment at which it may.

        *exempt*: the order replaces a certificate by ARI, which no limit applies to. *renewal*: the same CA issued
        for just these names before.
        """
        limits = self._limits
        if exempt or not (limits.new_orders.count or limits.per_domain.count or limits.per_name_set.count):
            return now
        with self._lock:
            self._load(now)
            digest = names_digest(names)
            moments = [limits.per_name_set.free_at(self._by_set[digest], now)]
            domains = {_registered_domain(name) for name in names}
            if not (renewal and limits.renewals_exempt):
                moments.append(limits.new_orders.free_at(self._orders, now))
                moments += [limits.per_domain.free_at(self._by_domain[domain], now) for domain in domains]
            free = max(moments)
            if free <= now:
                self._count(now, domains, digest)
            return free

    def left(self, now: int) -> int | None:
        """How many new orders fit in now; None without a limit, and before the first order was counted."""
        limit = self._limits.new_orders
        if not limit.count or not self._loaded:
            return None
        with self._lock:
            return max(0, limit.count - sum(moment > now - limit.seconds for moment in self._orders))

    def _load(self, now: int) -> None:
        if self._loaded:
            return
        self._orders = self._holds.orders_since(self._directory, now - self._limits.new_orders.seconds)
        span = max(self._limits.per_domain.seconds, self._limits.per_name_set.seconds)
        for moment, names, digest in self._holds.certificates_since(self._directory, now - span):
            for domain in {_registered_domain(name) for name in names}:
                self._by_domain[domain].append(moment)
            self._by_set[digest].append(moment)
        self._loaded = True

    def _count(self, now: int, domains: set[str], digest: str) -> None:
        recent = now - self._limits.new_orders.seconds
        self._orders = [*(moment for moment in self._orders if moment > recent), now]
        for domain in domains:
            self._by_domain[domain].append(now)
        self._by_set[digest].append(now)


@functools.cache
def _suffixes() -> PublicSuffixList:
    """Parsed when the first order is counted, not at import: it takes a while, and most runs count none."""
    return PublicSuffixList()


def _registered_domain(name: str) -> str:
    base = name.removeprefix("*.")
    return _suffixes().privatesuffix(base) or base
