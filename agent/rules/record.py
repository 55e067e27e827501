"""What the agent remembers of each certificate between runs: what it installed, refused, has to tell."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agent.model.offer import Mark
from agent.rules.install_states import Outcome
from common.clock import utc_text

_BACK_OFF = (3600, 6 * 3600, 86400)  # seconds until the same one is tried again: once, twice, every further time


@dataclass(frozen=True, slots=True)
class Installed:
    """What lies in the live files, by our own hand. *files*: SHA-256 of each by path; *mark*: its row at that time."""

    sha256: str
    serial: str
    not_after: int
    mark: Mark
    files: Mapping[str, str]
    circumstances: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A certificate that is not tried again before *until*, unless its row, the key or the settings change.

    *sha256* is that of leaf and chain as they were offered.
    """

    outcome: Outcome
    reason: str
    sha256: str
    mark: Mark
    circumstances: str
    attempts: int
    until: int

    def holds(self, circumstances: str, now: float) -> bool:
        return self.circumstances == circumstances and now < self.until

    def document(self) -> dict[str, Any]:
        """As reports show it."""
        return {"sha256": self.sha256, "attempts": self.attempts, "next_attempt": utc_text(self.until)}


def facts(installed: Installed | None, refusal: Refusal | None) -> dict[str, Any]:
    """What reports show of the certificate that is in place, and of the one that is not taken."""
    return {
        "sha256": installed.sha256 if installed else None,
        "serial": installed.serial if installed else None,
        "not_after": utc_text(installed.not_after) if installed else None,
        "refused": refusal.document() if refusal else None,
    }


@dataclass(frozen=True, slots=True)
class Record:
    """How things stand with one certificate; *changed_at* is when that last changed, in epoch seconds."""

    name: str
    outcome: Outcome
    detail: str
    changed_at: int
    installed: Installed | None = None
    refusal: Refusal | None = None
    unsent: bool = False

    def says_the_same_as(self, other: "Record | None") -> bool:
        """Equal but for time and delivery: then nothing needs to be written or told."""
        facts = (self.outcome, self.detail, self.installed, self.refusal)
        return other is not None and facts == (other.outcome, other.detail, other.installed, other.refusal)


def back_off(previous: Refusal | None, sha256: str, now: float) -> tuple[int, int]:
    """Number of this attempt at the certificate with *sha256*, and the moment of the next: longer each time."""
    attempts = previous.attempts + 1 if previous is not None and previous.sha256 == sha256 else 1
    return attempts, int(now) + _BACK_OFF[min(attempts, len(_BACK_OFF)) - 1]


def to_document(record: Record) -> dict[str, Any]:
    document = {**asdict(record), "outcome": record.outcome.value}
    if record.refusal is not None:
        document["refusal"]["outcome"] = record.refusal.outcome.value
    return document


def from_document(document: Mapping[str, Any]) -> Record:
    """The record in *document*; KeyError, TypeError or ValueError if it is none."""
    installed, refusal = document["installed"], document["refusal"]
    return Record(
        name=str(document["name"]),
        outcome=Outcome(document["outcome"]),
        detail=str(document["detail"]),
        changed_at=int(document["changed_at"]),
        installed=Installed(**{**installed, "mark": Mark(**installed["mark"])}) if installed else None,
        refusal=_refusal(refusal) if refusal else None,
        unsent=bool(document["unsent"]),
    )


def _refusal(document: Mapping[str, Any]) -> Refusal:
    outcome, mark = Outcome(document["outcome"]), Mark(**document["mark"])
    return Refusal(**{**document, "outcome": outcome, "mark": mark})
