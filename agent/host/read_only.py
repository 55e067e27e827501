"""State folder and live files for a rehearsal: all that is there is read, and nothing is written."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.host.files import LocalFiles
from agent.host.state_folder import StateFolder
from agent.model.live_file import LiveFile
from agent.model.result import Result


class ReadOnlyState(StateFolder):
    """A state folder that keeps nothing: a journey without an install saves no records."""

    def save_records(self, results: Sequence[Result]) -> None:
        """Forgotten."""

    def save_issuer_key(self, pinned: str, present: str) -> None:
        """Forgotten."""

    def save_confirmed(self, moment: float) -> None:
        """Forgotten."""

    def save_kept(self, certificates: Sequence[tuple[str, str, bytes]]) -> None:
        """Forgotten."""

    def drop_kept(self, name: str, serial: str) -> None:
        """It stays."""


class ReadOnlyFiles(LocalFiles):
    """Live files stay as they are. *would_be*: what they would be by now."""

    is_rehearsal = True

    def __init__(self) -> None:
        super().__init__()
        self.would_be: dict[Path, LiveFile] = {}

    def replace(self, contents: Mapping[Path, LiveFile]) -> None:
        """They stay."""
        self.would_be.update(contents)

    def restore(self, old: Mapping[Path, LiveFile | None]) -> None:
        """They stay."""
