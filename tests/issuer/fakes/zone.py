"""A place in memory where answers to challenges are published: a zone or a web server, as its challenge type says."""

from collections.abc import Mapping, Sequence

from common.clock import Clock
from common.errors import Retry
from issuer.journey.solver import ChallengeType
from issuer.model.acme import Challenge, Laggard
from issuer.model.asked import Asked, Log
from issuer.model.enrolment import Enrolment
from issuer.model.errors import DnsError
from issuer.rules.asked import asked_for
from issuer.rules.request_lines import dns_request


class MemoryZone:
    """A Solver. *delay*: seconds after which a value that is published shows; `math.inf` for never. *missing*: names
    without a zone."""

    def __init__(self, kind: ChallengeType, clock: Clock, *, delay: float = 0.0, patience: int = 600):
        self.type = kind
        self.patience = patience
        self.propagation: Mapping[str, float] = {}
        self.delay = delay
        self.log: Log | None = None  # of questions, as BIND writes it
        self.missing: set[str] = set()
        self._clock = clock
        self._shows_from: dict[tuple[str, str], float] = {}  # by owner and value

    @property
    def values(self) -> set[str]:
        """Everything that is published, whether it shows yet or not."""
        return {value for _, value in self._shows_from}

    def lose(self) -> None:
        """Somebody else deletes all of it."""
        self._shows_from.clear()

    def shown(self, owner: str) -> set[str]:
        """What everybody sees at *owner* now."""
        now = self._clock()
        return {value for (at, value), moment in self._shows_from.items() if at == owner and moment <= now}

    def place(self, name: str, row: Enrolment) -> tuple[str, str]:
        """Each owner is a zone of its own."""
        self.type.require(row.validation.of(name), [name])
        if name in self.missing:
            raise DnsError(f"{name} has no zone", hint="make it", retry=Retry.NEVER)
        owner = self.type.owner(name)
        return owner, owner

    def publish(self, entries: Sequence[Challenge]) -> None:
        for entry in entries:
            self._shows_from.setdefault((entry.owner, entry.value), self._clock() + self.delay)

    def unseen(self, entries: Sequence[Challenge]) -> list[Laggard]:
        missing = {entry.zone for entry in entries if entry.value not in self.shown(entry.owner)}
        return [Laggard(zone, "does not show it") for zone in sorted(missing)]

    def too_late(self, laggards: Sequence[Laggard]) -> DnsError:
        return DnsError("not visible in time", why="; ".join(map(str, laggards)), reference="dns-not-visible")

    def asked(self, entries: Sequence[Challenge], since: float) -> Asked | None:
        """What *log* holds, of the moments since then."""
        if self.log is None:
            return None
        wanted = {entry.identifier: [entry.owner] for entry in entries}
        return asked_for("name server", wanted, [self.log], since, dns_request)

    def withdraw(self, entries: Sequence[Challenge]) -> None:
        for entry in entries:
            self._shows_from.pop((entry.owner, entry.value), None)

    def keeper(self, entry: Challenge) -> str:
        return entry.zone
