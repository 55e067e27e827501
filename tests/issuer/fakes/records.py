"""The records of dns-persist-01 in memory: a person publishes them, and nobody else changes them."""

from collections.abc import Sequence

from issuer.dns.persist01 import DnsPersist01
from issuer.model.acme import Challenge, Laggard
from issuer.model.enrolment import Enrolment
from issuer.model.errors import DnsError
from tests.issuer.fakes.clock import FakeClock
from tests.issuer.fakes.zone import MemoryZone


class MemoryRecords(MemoryZone):
    """A Solver whose answers stand."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(DnsPersist01(), clock, patience=0)
        self.written: dict[str, set[str]] = {}  # by owner

    def shown(self, owner: str) -> set[str]:
        return self.written.get(owner, set())

    def place(self, name: str, row: Enrolment) -> tuple[str, str]:
        owner = self.type.owner(name)
        if not self.shown(owner):
            raise DnsError(f"{owner} is not there", reference="dns-persist")
        return owner, ""

    def publish(self, entries: Sequence[Challenge]) -> None:
        """Does nothing: a person publishes."""

    def unseen(self, entries: Sequence[Challenge]) -> list[Laggard]:
        return [
            Laggard(entry.owner, "is not there")
            for entry in entries
            if not self.shown(entry.owner) & set(entry.value.splitlines())
        ]

    def too_late(self, laggards: Sequence[Laggard]) -> DnsError:
        return DnsError("the record is not there", why="; ".join(map(str, laggards)), reference="dns-persist")

    def withdraw(self, entries: Sequence[Challenge]) -> None:
        """Does nothing: the record is a person's."""

    def keeper(self, entry: Challenge) -> str:
        return ""
