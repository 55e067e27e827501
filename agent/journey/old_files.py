"""Live files as they were before an install, from the backups in the state folder."""

from collections.abc import Iterable
from pathlib import Path

from agent.journey.ports import Tools
from agent.model.live_file import LiveFile, digest
from agent.rules.journal import SavedFile
from common.errors import FileError


def old_files(saved: Iterable[SavedFile], tools: Tools) -> dict[Path, LiveFile | None]:
    """Each file as it was, by its path; None for one that was not there. FileError if a backup is missing or has
    another digest."""
    old: dict[Path, LiveFile | None] = {}
    for file in saved:
        content = tools.state.read_work(Path(file.backup)) if file.backup else None
        if file.backup and (content is None or digest(content) != file.old_digest):
            raise FileError(f"the backup {file.backup} of {file.path} is missing or damaged")
        was = LiveFile(content, file.mode, file.uid, file.gid, file.attributes or {}) if content is not None else None
        old[file.path] = was
    return old
