"""Do all servers show the values? We ask the authoritative ones first, and the resolvers only when those agree.

A resolver that is asked too early caches "no such record" for minutes (RFC 2308). The CA's resolver would too.

Several orders may share an owner. A resolver that looked for another order has cached that order's values without ours.
With a TTL of 0, BIND caches them until the second is over (measured). We tell the CA to look after that.
"""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import dns.message
import dns.rcode
import structlog

from issuer.dns.asking import ASK_SECONDS, NoAnswer, ask_all
from issuer.dns.servers import Server, missing_txt, question, rrset_in, shown_txt
from issuer.ground.silence import Silence
from issuer.model.acme import Laggard

log = structlog.get_logger()
_QUIET_SECONDS = (5.0, 60.0)  # we leave a silent server alone for 5 s, then each time twice as long, up to 60 s

_CACHED_SECONDS = 1.05  # a resolver may use a record with a TTL of 0 for this long
_LONGEST_CACHED = 60  # seconds; no CA caches a record for longer


@dataclass(frozen=True, slots=True)
class Sought:
    """The TXT values that each of *servers* has to show at *owner*."""

    owner: str
    zone: str
    values: frozenset[str]
    servers: tuple[Server, ...]


class Visibility:
    """Thread-safe. Leaves silent servers alone for a while, so that a dead one does not delay every order.

    *propagation*: for each server, the seconds from the latest UPDATE until the server showed its values. *clock*:
    monotonic seconds.
    """

    def __init__(self, resolvers: Sequence[Server], clock: Callable[[], float] = time.monotonic):
        self.propagation: dict[str, float] = {}
        self._resolvers = tuple(resolvers)
        self._clock = clock
        self._published: dict[tuple[str, str], float] = {}
        self._shared: dict[tuple[str, str], float] = {}  # when all servers began to show it, 0 before that
        self._shown: dict[tuple[str, str], dict[Server, float]] = {}
        self._silence: Silence[Server, NoAnswer] = Silence(*_QUIET_SECONDS, clock)
        self._warned: set[Server] = set()
        self._lock = threading.Lock()

    def published(self, values: Collection[tuple[str, str]]) -> None:
        """Note that these (owner, value) are in the zone from now on. The propagation time of a server starts here."""
        now = self._clock()
        with self._lock:
            taken = {owner for owner, _ in self._published.keys() - set(values)}
            self._shared |= {value: 0.0 for value in values if value[0] in taken}
            self._published |= dict.fromkeys(values, now)

    def withdrawn(self, values: Collection[tuple[str, str]]) -> None:
        """Forget these (owner, value), which are being deleted from the zone."""
        with self._lock:
            for value in values:
                self._shared.pop(value, None)
                self._published.pop(value, None)
                self._shown.pop(value, None)

    def shown_by(self, owner: str, value: str) -> dict[Server, float]:
        """The servers that have shown a published value, each with the seconds from the UPDATE until then."""
        with self._lock:
            return dict(self._shown.get((owner, value), {}))

    def unseen(self, sought: Sequence[Sought]) -> list[Laggard]:
        """A laggard for each server that does not show the sought values yet; [] when all do. Raises DnsError."""
        answers = self._asked([(server, item.owner) for item in sought for server in item.servers], recursive=False)
        laggards: list[Laggard] = []
        for item in sought:
            laggards += self._of_servers(item, answers) or self._maybe_cached(item, answers)
        if laggards or not self._resolvers:
            return laggards
        return self._of_resolvers(sought)

    def _maybe_cached(self, item: Sought, answers: "_Answers") -> list[Laggard]:
        """A laggard if a resolver may still cache other values of the owner. Only for when all servers agree."""
        heard = [answer for server in item.servers if not isinstance(answer := answers[server, item.owner], NoAnswer)]
        ttl = max((rrset.ttl for answer in heard for rrset in rrset_in(answer.answer, "TXT")), default=0)
        mine = [(item.owner, value) for value in item.values]
        now = self._clock()
        with self._lock:
            if not any(value in self._shared for value in mine) and not any(shown_txt(a) - item.values for a in heard):
                return []
            since = min(self._shared.get(value) or now for value in mine)
            self._shared |= dict.fromkeys(mine, since)
        seconds = since + min(ttl, _LONGEST_CACHED) + _CACHED_SECONDS - now
        how = f"it is shared with other challenges, and resolvers may have them cached for {seconds:.1f} s"
        return [Laggard(item.owner, how)] if seconds > 0 else []

    def _of_servers(self, item: Sought, answers: "_Answers") -> list[Laggard]:
        showing, silent = [], []
        missing: list[Laggard] = []
        for server in item.servers:
            answer = answers[server, item.owner]
            if isinstance(answer, NoAnswer):
                silent.append(server)
                continue
            how = missing_txt(answer, item.values)
            if how:
                missing.append(Laggard(str(server), how))
            else:
                showing.append(server)
        self._note(showing, item)
        excused = [server for server in silent if _excused(server, showing, answers[server, item.owner])]
        self._warn(item.zone, excused)
        missing += [
            Laggard(str(server), str(answers[server, item.owner])) for server in silent if server not in excused
        ]
        if excused and not showing and not missing:
            missing.append(Laggard(item.zone, "this machine has no route to any of its name servers"))
        return missing

    def _of_resolvers(self, sought: Sequence[Sought]) -> list[Laggard]:
        """A laggard for each resolver without the values. We do not wait for a silent one: the other servers agree."""
        pairs = [(resolver, item.owner) for item in sought for resolver in self._resolvers]
        answers = self._asked(pairs, recursive=True)
        laggards = []
        for item in sought:
            for resolver in self._resolvers:
                answer = answers[resolver, item.owner]
                if isinstance(answer, NoAnswer) or answer.rcode() == dns.rcode.REFUSED:
                    self._warn("resolvers", [resolver])
                    continue
                how = missing_txt(answer, item.values, authoritative=False)
                if how:
                    laggards.append(Laggard(f"resolver {resolver}", how))
        return laggards

    def _asked(self, pairs: Sequence[tuple[Server, str]], *, recursive: bool) -> "_Answers":
        """The answer of each server for each owner. A server that was silent a moment ago is not asked again."""
        quiet = {server: said for server in {server for server, _ in pairs} if (said := self._silence.of(server))}
        answers: _Answers = {pair: quiet[pair[0]] for pair in pairs if pair[0] in quiet}
        asked = list(dict.fromkeys(pair for pair in pairs if pair[0] not in quiet))
        queries = {owner: question(owner, "TXT", recursive=recursive) for owner in dict.fromkeys(o for _, o in asked)}
        heard = ask_all([(server, queries[owner]) for server, owner in asked], ASK_SECONDS)
        answers |= dict(zip(asked, heard, strict=True))
        self._remember(asked, answers)
        return answers

    def _remember(self, asked: Sequence[tuple[Server, str]], answers: "_Answers") -> None:
        """Leave silent servers alone for a while. Ask again a server that refuses connections: that costs no time."""
        outcomes = {server: answers[server, owner] for server, owner in asked}
        for server, answer in outcomes.items():
            if not isinstance(answer, NoAnswer):
                self._silence.ends(server)
            elif answer.slow:
                self._silence.begins(server, answer)

    def _note(self, showing: Sequence[Server], item: Sought) -> None:
        now = self._clock()
        with self._lock:
            for value in item.values:
                since = self._published.get((item.owner, value))
                if since is None:  # an earlier process published it
                    continue
                shown = self._shown.setdefault((item.owner, value), {})
                for server in showing:
                    if server not in shown:
                        self.propagation[str(server)] = shown[server] = now - since

    def _warn(self, zone: str, servers: Sequence[Server]) -> None:
        with self._lock:
            new = [server for server in servers if server not in self._warned]
            self._warned.update(new)
        if new:
            log.warning("nameserver.not_asked", zone=zone, servers=[str(server) for server in new])


_Answers = dict[tuple[Server, str], "dns.message.Message | NoAnswer"]


def _excused(server: Server, showing: Sequence[Server], silence: object) -> bool:
    """May we ignore *server*? Yes, if this machine has no route to it. Yes too, if the same host shows the values at
    an address of the other family (IPv4, IPv6), and at none of this family."""
    if isinstance(silence, NoAnswer) and silence.unreachable:
        return True
    same_host = [other for other in showing if server.name and other.name == server.name]
    return bool(same_host) and all(other.ipv6 != server.ipv6 for other in showing)
