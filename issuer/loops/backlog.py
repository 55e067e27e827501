"""Which of the certificates that look due are left alone for a while: the daemon's memory beside the database.

The database knows when a certificate is to be tried again, if it could be told. This memory covers the rest: a failure
that could not be written down, a certificate in the hands of another issuer, one that turned out not to be due. Without
it the daemon would ask the CA again every few seconds.
"""

import threading
from collections.abc import Iterable

from issuer.model.survey import Mark


class Patience:
    """Thread-safe."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, Mark]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._left)

    def leave(self, mark: Mark, until: float) -> None:
        """Leave a certificate alone until then, unless somebody asks for it by hand meanwhile."""
        with self._lock:
            self._left[mark.name] = (until, mark)

    def wanted(self, marks: Iterable[Mark], now: float) -> list[Mark]:
        """Those of *marks* that are not to be left alone. What the database no longer counts as due is forgotten, so
        that the same name enrolled anew is looked at at once."""
        found = list(marks)
        with self._lock:
            names = {mark.name for mark in found}
            self._left = {name: left for name, left in self._left.items() if name in names and left[0] > now}
            return [mark for mark in found if self._may(mark)]

    def _may(self, mark: Mark) -> bool:
        left = self._left.get(mark.name)
        return left is None or (mark.asked_for and mark != left[1])
