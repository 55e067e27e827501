"""What the journeys need from the world: every Protocol on one page. The command line wires the real ones."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from agent.model.certificate import Command
from agent.model.offer import Mark, Offer, Report
from agent.model.probe_targets import ProbeTarget
from agent.rules.evidence import Sight
from agent.rules.journal import JournalEntry
from agent.rules.record import Record


class Source(Protocol):
    """Every method raises SourceError when the source cannot be asked or refuses."""

    def mark(self, name: str) -> Mark | None:
        """The cheap question; None if the name is not enrolled."""

    def fetch(self, name: str) -> Offer | None:
        """Leaf and chain; None if the name is not enrolled."""

    def older_on_purpose(self, name: str) -> str:
        """SHA-256 of the certificate that `certfleet-issuer rollback` went back to; "" when it did not."""

    def report(self, report: Report) -> None:
        """Write this host's own row, replacing the one before."""

    def close(self) -> None:
        """Let the connection go; may be called twice."""


class StateStore(Protocol):
    """What the agent keeps on disk for itself. Every method raises FileError when it cannot."""

    def record(self, name: str) -> Record | None:
        """What is remembered of a certificate."""

    def save_record(self, kept: Record) -> None:
        """Remember it."""

    def journals(self) -> list[JournalEntry]:
        """Installs that did not come to their end."""

    def save_journal(self, entry: JournalEntry) -> None:
        """Note how far an install has come, before the step that this names."""

    def work_folder(self, name: str) -> Path:
        """A fresh private folder for staged material and backups."""

    def finish(self, name: str) -> None:
        """The install has ended: no journal, no backups."""


class CommandRunner(Protocol):
    def run(self, step: str, command: Command) -> None:
        """Run one command of the operator's to its end; InstallError, with *step* in it, if that is not a good one."""


class Sockets(Protocol):
    """What is served; and how long to go on looking, on a clock of its own, in seconds."""

    def look(self, targets: Iterable[ProbeTarget], server_name: str) -> tuple[Sight, ...]:
        """One look at every address of every target; never raises."""

    def deadline(self) -> float:
        """When the time ends that a service gets to show what is waited for."""

    def steady_until(self) -> float:
        """Until when it must go on showing it."""

    def wait(self, deadline: float) -> bool:
        """Pause before another look; False once *deadline* has passed."""
