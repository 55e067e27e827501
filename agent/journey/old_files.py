"""Live files as they were before an install, from the backups in the state folder; whether they are its files still."""

from collections.abc import Iterable
from pathlib import Path

from agent.journey.ports import Tools
from agent.model.live_file import LiveFile, digest
from agent.rules.journal import SavedFile
from agent.rules.verify import leaf_in
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


def are_replaced(saved: Iterable[SavedFile], tools: Tools) -> bool:
    """Has somebody replaced one of the files since the install that was interrupted, so that it holds neither what was
    there nor what was to come? A self-signed certificate where a first one was to come counts as that
    install's own. Raises FileError."""
    for file in saved:
        live = tools.files.read(file.path)
        if live is None or live.digest in {file.new_digest, file.old_digest}:
            continue
        if file.backup or leaf_in([live.content]) is not None:
            return True
    return False
