"""The daemon's memory of certificates that look due in the database and are left alone for a while.

The database holds the next moment of a certificate, if that moment could be saved. This memory covers the other cases:
a failure that could not be saved, an order under another issuer's lease, a certificate that is not due after all.
Without it the daemon would ask the CA again every few seconds.
"""

import threading
from collections.abc import Iterable

from issuer.model.moments import CLOCKS_APART
from issuer.model.survey import DueRow

_SAME_REQUEST = 60  # seconds
_SETTLED = 10  # seconds after which a change of the row is not our own attempt's any more


class Backlog:
    """Thread-safe. Its length is the number of certificates that are deferred."""

    def __init__(self) -> None:
        self._deferred: dict[str, tuple[float, float, DueRow]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._deferred)

    def defer(self, row: DueRow, until: float, now: float) -> None:
        """Leave a certificate alone until then (epoch seconds). A new request of a person for it ends that at once, or
        after a minute where it looks like the one before: somebody may have lifted the CA's hold meanwhile. Another
        change of the row ends it after a few seconds: a person has lifted a hold for all, or wants a retry."""
        if row.asked_for:
            until = min(until, now + _SAME_REQUEST)
        with self._lock:
            self._deferred[row.name] = (until, now, row)

    def ready(self, rows: Iterable[DueRow], now: float) -> list[DueRow]:
        """The *rows* that are not deferred. Forgets the names that *rows* lacks: when such a name is enrolled
        anew, it is ready at once. Forgets too what a clock deferred that was ahead."""
        found = list(rows)
        with self._lock:
            names = {row.name for row in found}
            self._deferred = {
                name: (until, since, row)
                for name, (until, since, row) in self._deferred.items()
                if name in names and until > now and since <= now + CLOCKS_APART
            }
            return [row for row in found if row.name not in self._deferred or self._is_wanted(row, now)]

    def _is_wanted(self, row: DueRow, now: float) -> bool:
        """Did somebody ask for it since it was deferred?"""
        _, since, deferred = self._deferred[row.name]
        return row != deferred and (row.asked_for or now >= since + _SETTLED)
