"""The journal of an install under way: what was there before, and what was to come. Written before a live file changes.

It names digests, modes and the places of backups; never content, so no key stands in it. Pure: what writes it is the
state folder.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent.rules.evidence import Seen, Sight
from agent.rules.install_states import InstallState, check_transition


@dataclass(frozen=True, slots=True)
class SavedFile:
    """One live file before the swap. *backup* is "" for a file that did not exist."""

    path: Path
    new_digest: str
    backup: str = ""
    old_digest: str = ""
    mode: int = 0
    uid: int = 0
    gid: int = 0
    attributes: Mapping[str, bytes] | None = None


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One install under way. *before* is what the sockets showed when it began."""

    name: str
    sha256: str
    state: InstallState
    files: tuple[SavedFile, ...]
    before: tuple[Sight, ...]

    def at(self, state: InstallState) -> "JournalEntry":
        check_transition(self.state, state)
        return replace(self, state=state)


def to_document(entry: JournalEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "sha256": entry.sha256,
        "state": entry.state.value,
        "files": [
            {
                "path": str(file.path),
                "new_digest": file.new_digest,
                "backup": file.backup,
                "old_digest": file.old_digest,
                "mode": f"{file.mode:04o}",
                "uid": file.uid,
                "gid": file.gid,
                "attributes": {name: value.hex() for name, value in (file.attributes or {}).items()},
            }
            for file in entry.files
        ],
        "before": [
            {"target": s.target, "address": s.address, "seen": s.seen.value, "sha256": s.sha256} for s in entry.before
        ],
    }


def from_document(document: Mapping[str, Any]) -> JournalEntry:
    """The entry in *document*; KeyError, TypeError or ValueError if it is none."""
    return JournalEntry(
        name=str(document["name"]),
        sha256=str(document["sha256"]),
        state=InstallState(document["state"]),
        files=tuple(
            SavedFile(
                path=Path(file["path"]),
                new_digest=str(file["new_digest"]),
                backup=str(file["backup"]),
                old_digest=str(file["old_digest"]),
                mode=int(file["mode"], 8),
                uid=int(file["uid"]),
                gid=int(file["gid"]),
                attributes={name: bytes.fromhex(value) for name, value in file["attributes"].items()},
            )
            for file in document["files"]
        ),
        before=tuple(
            Sight(look["target"], look["address"], Seen(look["seen"]), sha256=look["sha256"])
            for look in document["before"]
        ),
    )
