"""The last results, from the state folder alone: no source is asked and no socket looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent.journey.ports import StateStore
from agent.model.certificate import Certificate
from agent.rules.record import Record, facts
from common.clock import duration_text, utc_text

NEVER_RUN = "never-run"


@dataclass(frozen=True, slots=True)
class Status:
    """How one certificate stood after its last run."""

    name: str
    record: Record | None
    now: float

    @property
    def is_expired(self) -> bool:
        installed = self.record.installed if self.record else None
        return installed is not None and installed.not_after <= self.now

    @property
    def is_well(self) -> bool:
        return self.record is not None and self.record.outcome.is_well and not self.is_expired

    @property
    def state(self) -> str:
        return self.record.outcome.value if self.record else NEVER_RUN

    def row(self) -> list[str]:
        installed = self.record.installed if self.record else None
        left = f"{utc_text(installed.not_after)} ({_left(installed.not_after - self.now)})" if installed else "-"
        since = utc_text(self.record.changed_at) if self.record else "-"
        return [self.name, self.state, installed.serial if installed else "-", left, since]

    def document(self) -> dict[str, Any]:
        installed = self.record.installed if self.record else None
        refusal = self.record.refusal if self.record else None
        return {
            "name": self.name,
            "state": self.state,
            "well": self.is_well,
            "proven": self.record is not None and self.record.outcome.is_proven,
            "detail": self.record.detail if self.record else "",
            "since": utc_text(self.record.changed_at) if self.record else None,
            **facts(installed, refusal),
            "report_unsent": self.record.unsent if self.record else False,
        }


HEAD = ["NAME", "STATE", "SERIAL", "NOT AFTER", "SINCE"]


def statuses(certificates: Sequence[Certificate], state: StateStore, now: float) -> list[Status]:
    """One for each certificate configured. FileError if the state folder may not be read."""
    return [Status(certificate.name, state.record(certificate.name), now) for certificate in certificates]


def _left(seconds: float) -> str:
    return f"{duration_text(seconds)} left" if seconds > 0 else "EXPIRED"
