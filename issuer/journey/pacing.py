"""Keeps our orders inside the CA's limits: says when the next one may be opened. One a CA, shared by the workers."""

import dataclasses
import functools
import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from publicsuffixlist import PublicSuffixList

from issuer.journey.ports import HoldStore
from issuer.model.limits import CaLimits, names_digest

_TRUSTED_SHARE = 4  # a count is trusted for a quarter of what it left: other issuers take from the same
_TRUSTED_SECONDS = 10
_LONG_TRUSTED_SECONDS = 600  # the longer list, a week's certificates; and the number that is only shown
_NO_LIMIT = 2**31
_BEING_WRITTEN = 5  # seconds after which an order stands in the database, if it came to be
_BEING_ISSUED = 3600  # the same of a certificate


@dataclass(frozen=True, slots=True)
class _Wish:
    """A set of names for which certificate *name* wants an order at a moment.

    *ordered*, *issued*: how many orders of that name and moment, and certificates since, the database knew before. What
    it knows beyond that is what came of the wish: an order of the same second, by a run before, is not.
    """

    name: str
    at: int
    domains: frozenset[str]
    name_set: str
    ordered: int = 0
    issued: int = 0

    @property
    def keys(self) -> frozenset[str]:
        """All that the certificate will count for."""
        return self.domains | {self.name_set}


class Budget:
    """Counts what the database knows of every issuer, and adds what this process asked for since it looked there."""

    def __init__(self, directory: str, limits: CaLimits, holds: HoldStore):
        self._directory = directory
        self._limits = limits
        self._holds = holds
        self._lock = threading.Lock()
        self._looked_at = self._certificates_looked_at = 0  # never
        self._trusted = 0  # orders until we look again
        self._since_look = 0  # orders since we looked
        self._taken: list[_Wish] = []
        self._orders: list[int] = []
        self._certificates: dict[str, list[int]] = defaultdict(list)  # by registered domain, and by set of names
        self._ordered: Counter[tuple[str, int]] = Counter()  # what the database knew when we looked
        self._issued: dict[str, list[int]] = {}

    def take(self, name: str, names: Sequence[str], now: int, *, exempt: bool, renewal: bool) -> int:
        """*now* if certificate *name* may have an order for *names*, which counts it; else the moment at which it may.

        *exempt*: the order replaces a certificate in its window of ARI: no limit applies to it. *renewal*: the same CA
        issued for just these names before.
        """
        if exempt or not self._limited:
            return now
        wish, general = self._wish(name, names, now, renewal=renewal)
        with self._lock:
            self._look_if_old(now, general=general)
            free = self._free_at(wish, general=general)
            if free > now and self._since_look:  # some of what was taken may have come to nothing
                self._look(now)
                self._look_at_certificates(now)
                free = self._free_at(wish, general=general)
            if free <= now:
                self._count(wish)
            elif self._taken:  # what came to nothing is forgotten by then
                free = max(now + 1, min(free, self._taken[0].at + _BEING_ISSUED + 1))
            return free

    def free_at(self, names: Sequence[str], now: int, *, renewal: bool) -> int:
        """The same as an answer to who only looks: nothing is counted."""
        if not self._limited:
            return now
        wish, general = self._wish("", names, now, renewal=renewal)
        with self._lock:
            self._look_if_old(now, general=general)
            return self._free_at(wish, general=general)

    @property
    def _limited(self) -> bool:
        limits = self._limits
        return bool(limits.new_orders.count or limits.per_domain.count or limits.per_name_set.count)

    def _wish(self, name: str, names: Sequence[str], now: int, *, renewal: bool) -> tuple[_Wish, bool]:
        """And do the limits count for it that renewals may be exempt from?"""
        return _Wish(name, now, _domains(names), names_digest(names)), not (renewal and self._limits.renewals_exempt)

    def left(self, now: int) -> int | None:
        """How many new orders fit in now; None without a limit. Raises StoreError: it looks by itself where nobody has
        ordered for long."""
        limit = self._limits.new_orders
        if not limit.count:
            return None
        with self._lock:
            if now - self._looked_at >= _LONG_TRUSTED_SECONDS:
                self._look(now)
            return max(0, limit.count - sum(moment > now - limit.seconds for moment in self._orders))

    def _free_at(self, wish: _Wish, *, general: bool) -> int:
        limits, now = self._limits, wish.at
        moments = [limits.per_name_set.free_at(self._certificates[wish.name_set], now)]
        if general:
            moments.append(limits.new_orders.free_at(self._orders, now))
            moments += [limits.per_domain.free_at(self._certificates[domain], now) for domain in wish.domains]
        return max(moments)

    def _count(self, wish: _Wish) -> None:
        self._since_look += 1
        ordered = self._ordered[wish.name, wish.at]
        self._taken.append(dataclasses.replace(wish, ordered=ordered, issued=self._issued_since(wish)))
        self._orders.append(wish.at)
        for key in wish.keys:
            self._certificates[key].append(wish.at)

    def _look_if_old(self, now: int, *, general: bool) -> None:
        if self._certificates_looked_at and (
            not general or (self._since_look < self._trusted and now - self._looked_at < _TRUSTED_SECONDS)
        ):
            return
        self._look(now)
        if now - self._certificates_looked_at >= _LONG_TRUSTED_SECONDS:
            self._look_at_certificates(now)

    def _look(self, now: int) -> None:
        """Count the orders of all issuers, and ours that may not stand in the database yet."""
        limit = self._limits.new_orders
        self._taken = [wish for wish in self._taken if wish.at > now - _BEING_ISSUED]
        known = self._holds.orders_since(self._directory, now - limit.seconds)
        self._ordered = Counter(known)
        recent = [wish for wish in self._taken if wish.at > now - _BEING_WRITTEN]
        self._orders = [moment for _, moment in known]
        self._orders += [wish.at for wish in recent if self._ordered[wish.name, wish.at] <= wish.ordered]
        left = max(0, limit.count - len(self._orders)) if limit.count else _NO_LIMIT
        self._trusted, self._since_look, self._looked_at = left // _TRUSTED_SHARE, 0, now

    def _look_at_certificates(self, now: int) -> None:
        """Count the certificates of all issuers, and ours that may still come."""
        span = max(self._limits.per_domain.seconds, self._limits.per_name_set.seconds)
        counted: dict[str, list[int]] = defaultdict(list)
        self._issued = defaultdict(list)
        for issued in self._holds.certificates_since(self._directory, now - span):
            self._issued[issued.name].append(issued.at)
            for key in {*_domains(issued.names), issued.name_set}:
                counted[key].append(issued.at)
        for wish in self._taken:
            if wish.at > now - _BEING_ISSUED and self._issued_since(wish) <= wish.issued:
                for key in wish.keys:
                    counted[key].append(wish.at)
        self._certificates, self._certificates_looked_at = counted, now

    def _issued_since(self, wish: _Wish) -> int:
        return sum(moment >= wish.at for moment in self._issued.get(wish.name, ()))


@functools.cache
def _suffixes() -> PublicSuffixList:
    """Parsed when the first order is counted, not at import: it takes a while, and most runs count none."""
    return PublicSuffixList()


def _domains(names: Sequence[str]) -> frozenset[str]:
    """The registered domains of *names*."""
    bases = {name.removeprefix("*.") for name in names}
    return frozenset(_suffixes().privatesuffix(base) or base for base in bases)
