"""The journal of an install under way: what was there before, and what was to come. Written before a live file changes.

It names digests, modes and the places of backups; never content, so no key stands in it. Pure: what writes it is the
state folder.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from agent.model.remote_host import RemoteHost
from agent.rules.evidence import Sight
from agent.rules.install_states import InstallState, check_transition
from common.dataclasses import dataclass, replace
from common.strict_json import document_of, made

_KEPT = ("target", "address", "seen", "sha256", "listens")  # of a sight


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
class Part:
    """One certificate of an install: the leaf that was to come, and what the sockets showed when it began."""

    name: str
    sha256: str
    files: tuple[SavedFile, ...]
    before: tuple[Sight, ...]


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One install under way, of certificates that go together. Its *name* is that of one of them, or begins with it.
    *host*: where their files are, None for this machine."""

    name: str
    state: InstallState
    parts: tuple[Part, ...]
    host: RemoteHost | None = None

    def at(self, state: InstallState) -> "JournalEntry":
        """The same install, come as far as *state*; RuntimeError if that may not follow."""
        check_transition(self.state, state)
        return replace(self, state=state)

    def of(self, names: Collection[str]) -> "JournalEntry":
        """The same install, as far as the parts with these *names* go: all is done with the others."""
        return replace(self, parts=tuple(part for part in self.parts if part.name in names))

    def document(self) -> dict[str, Any]:
        """Texts, numbers and lists, for JSON."""
        return {**document_of(replace(self, parts=())), "parts": list(map(_part_document, self.parts))}


def _part_document(part: Part) -> dict[str, Any]:
    looks = [{name: look[name] for name in _KEPT} for look in map(document_of, part.before)]
    return {"name": part.name, "sha256": part.sha256, "files": list(map(_file_document, part.files)), "before": looks}


def _file_document(file: SavedFile) -> dict[str, Any]:
    attributes = {name: value.hex() for name, value in (file.attributes or {}).items()}
    return {**document_of(file), "mode": f"{file.mode:04o}", "attributes": attributes}


def from_document(document: Mapping[str, Any]) -> JournalEntry:
    """The entry in *document*; KeyError, TypeError or ValueError if it is none."""
    parts = tuple(map(_part, document["parts"]))
    return replace(made(JournalEntry, {**document, "parts": []}), parts=parts)


def _part(document: Mapping[str, Any]) -> Part:
    return replace(made(Part, {**document, "files": []}), files=tuple(map(_file, document["files"])))


def _file(document: Mapping[str, Any]) -> SavedFile:
    attributes = {name: bytes.fromhex(value) for name, value in document["attributes"].items()}
    found = made(SavedFile, {**document, "mode": int(document["mode"], 8), "attributes": None})
    return replace(found, attributes=attributes)
