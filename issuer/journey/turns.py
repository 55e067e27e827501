"""One certificate after the other where two have the same names.

Some CAs answer newOrder with an order for the same names that waits already (Boulder, and so Let's Encrypt, does). With
an RSA and an ECDSA certificate for one host, both due at once, the second would take the first one's order for its own.
"""

import threading
from collections.abc import Iterable


class Turns:
    """Thread-safe. Covers this process; where another issuer shares the database, the second of two may fail once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders: dict[frozenset[str], str] = {}
        self._held: dict[str, frozenset[str]] = {}

    def take(self, names: Iterable[str], holder: str) -> bool:
        """Is it the turn of *holder*, a certificate with these names? Then it is until :meth:`leave`."""
        wanted = frozenset(names)
        with self._lock:
            if self._holders.setdefault(wanted, holder) != holder:
                return False
            self._held[holder] = wanted
            return True

    def leave(self, holder: str) -> None:
        """The turn of *holder* is over, if it had one."""
        with self._lock:
            held = self._held.pop(holder, None)
            if held is not None:
                del self._holders[held]
