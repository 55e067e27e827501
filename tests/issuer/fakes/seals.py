"""Seals in memory: every row is what was enrolled, but those that a scene says are not."""

from collections.abc import Sequence

from issuer.model.enrolment import Enrolment
from issuer.model.seal_faults import Fault


class MemorySeals:
    """*broken*: the faults of rows by name. *changes_taken*: names whose change took the place of their CSR."""

    def __init__(self) -> None:
        self.broken: dict[str, list[Fault]] = {}
        self.changes_taken: list[str] = []

    def faults(self, row: Enrolment) -> Sequence[Fault]:
        return self.broken.get(row.name, [])

    def taken(self, row: Enrolment) -> None:
        self.changes_taken.append(row.name)
