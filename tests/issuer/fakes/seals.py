"""Seals in memory: every row is what was enrolled, but those that a scene says are not."""

import dataclasses
from collections.abc import Sequence

from common.certificate import Bundle, fingerprint, not_before
from issuer.model.enrolment import Enrolment
from issuer.model.seal_faults import Fault
from issuer.model.unapproved import Unapproved
from issuer.rules.acceptance import Past


class MemorySeals:
    """*broken*: the faults of rows by name. *changes_taken*: names whose change took the place of their CSR."""

    def __init__(self) -> None:
        self.broken: dict[str, list[Fault]] = {}
        self.changes_taken: list[str] = []
        self.pasts: dict[str, Past] = {}

    def faults(self, row: Enrolment) -> Sequence[Fault]:
        return self.broken.get(row.name, [])

    def taken(self, row: Enrolment) -> None:
        self.changes_taken.append(row.name)

    def stored(self, name: str, bundle: Bundle, now: int) -> None:
        past, starts = self.past(name), min(not_before(bundle.leaf), now)
        if fingerprint(bundle.leaf) not in past.stored:
            self.pasts[name] = dataclasses.replace(
                past, stored=past.stored | {fingerprint(bundle.leaf)}, issued=(*past.issued, starts)
            )

    def ordered(self, name: str, now: float) -> None:
        past = self.past(name)
        self.pasts[name] = dataclasses.replace(past, ordered=(*past.ordered, int(now)))

    def seal(self, content: Unapproved) -> str:
        return f"key mac {content.text}"

    def unapproved(self, row: Enrolment) -> Unapproved | None:
        genuine = row.unapproved.startswith("key mac ") and row.waiting is not None and row.waiting.name == row.name
        return row.waiting if genuine else None

    def past(self, name: str) -> Past:
        return self.pasts.get(name, Past())
