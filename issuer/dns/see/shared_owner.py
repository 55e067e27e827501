"""TXT owners that several orders share: how long a resolver may have the earlier values in its cache. Pure.

A resolver that has just validated another order at the same owner has those values cached without ours. Resolvers count
in whole seconds: BIND keeps records with a TTL of 0 until the second is over (measured).
"""

from collections.abc import Collection, Sequence

import dns.message
import dns.rdatatype

from issuer.dns.see.txt import shown_txt
from issuer.dns.servers import rrset_in

_GRAIN = 1.05  # seconds: the second in which a resolver may use a record with a TTL of 0, and a margin
_LONGEST = 60  # seconds; no CA caches a record for longer
_MOST_REMEMBERED = 1000

TxtValue = tuple[str, str]


class Crowd:
    """The values of this process, by owner. Those of other processes are seen in the answers. Monotonic seconds."""

    def __init__(self) -> None:
        self._here: dict[str, set[str]] = {}
        self._left_at: dict[str, float] = {}
        self._crowded: dict[TxtValue, float] = {}  # the moment from which all servers show it; 0 before that

    def joined(self, values: Collection[TxtValue], now: float) -> None:
        """These values are published now, together."""
        owners: dict[str, set[str]] = {}
        for owner, value in values:
            owners.setdefault(owner, set()).add(value)
        for owner, mine in owners.items():
            others = self._here.get(owner, set()) - mine
            if others or now - self._left_at.get(owner, -_GRAIN) < _GRAIN:
                self._crowded |= {(owner, value): 0.0 for value in mine}
            self._here.setdefault(owner, set()).update(mine)

    def left(self, values: Collection[TxtValue], now: float) -> None:
        """These values are withdrawn now."""
        if len(self._left_at) > _MOST_REMEMBERED:
            self._left_at = {owner: at for owner, at in self._left_at.items() if now - at < _GRAIN}
        for owner, value in values:
            self._crowded.pop((owner, value), None)
            here = self._here.get(owner, set())
            if value in here:
                here.discard(value)
                self._left_at[owner] = now
            if not here:
                self._here.pop(owner, None)

    def hold(self, owner: str, values: Collection[str], answers: Sequence[dns.message.Message], now: float) -> float:
        """Seconds until the CA may look, 0 for now. Called when all servers show *values* in *answers*."""
        mine = [(owner, value) for value in values]
        others = any(shown_txt(answer) - set(values) for answer in answers)
        if not others and not any(value in self._crowded for value in mine):
            return 0.0
        since = min(self._crowded.get(value) or now for value in mine)
        self._crowded |= dict.fromkeys(mine, since)
        ttl = max((rrset.ttl for answer in answers for rrset in rrset_in(answer.answer, "TXT")), default=0)
        return max(0.0, since + min(ttl, _LONGEST) + _GRAIN - now)
