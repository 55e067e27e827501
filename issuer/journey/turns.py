"""One certificate after the other where two have the same names.

Some CAs answer newOrder with a pending order for the same names (Boulder does, and so Let's Encrypt). With an RSA and
an ECDSA certificate for one host, both due at once, the second would take over the first one's order. An order that
was interrupted may still be finished so: rules/acceptance.py knows that case.
"""

import threading
from collections.abc import Iterable


class Turns:
    """Thread-safe. Covers this process; where another issuer shares the database, the second of two may fail once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turn_of: dict[frozenset[str], str] = {}
        self._names_of: dict[str, frozenset[str]] = {}

    def take(self, names: Iterable[str], name: str) -> bool:
        """Is it the turn of *name*, a certificate with these DNS names? Then it is until :meth:`leave`."""
        wanted = frozenset(names)
        with self._lock:
            if self._turn_of.setdefault(wanted, name) != name:
                return False
            self._names_of[name] = wanted
            return True

    def leave(self, name: str) -> None:
        """The turn of *name* is over, if it had one."""
        with self._lock:
            names = self._names_of.pop(name, None)
            if names is not None:
                del self._turn_of[names]
