"""The journal of an install under way: what was there before, and what was to come. Written before a live file changes.

It names digests, modes and the places of backups; never content, so no key stands in it. Pure: what writes it is the
state folder.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.model.remote_host import RemoteHost, SshAddress
from agent.rules.evidence import Sight
from agent.rules.install_states import InstallState, check_transition
from common.dataclasses import asdict, dataclass, replace
from common.probe.view import Seen
from common.strict_json import checked

_KEPT = ("target", "address", "sha256", "listens")  # of a sight, beside what was seen


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
    """One install under way, of certificates that go together. It has the *name* of one of them. *host*: where their
    files are, None for this machine."""

    name: str
    state: InstallState
    parts: tuple[Part, ...]
    host: RemoteHost | None = None

    def at(self, state: InstallState) -> "JournalEntry":
        """The same install, come as far as *state*; RuntimeError if that may not follow."""
        check_transition(self.state, state)
        return replace(self, state=state)

    def document(self) -> dict[str, Any]:
        """Texts, numbers and lists, for JSON."""
        host = None if self.host is None else _host_document(self.host)
        parts = list(map(_part_document, self.parts))
        return {"name": self.name, "state": self.state.value, "host": host, "parts": parts}


def _host_document(host: RemoteHost) -> dict[str, Any]:
    return {**asdict(host), "key_file": str(host.key_file), "host_keys": str(host.host_keys)}


def _part_document(part: Part) -> dict[str, Any]:
    looks = [{name: getattr(sight, name) for name in _KEPT} | {"seen": sight.seen.value} for sight in part.before]
    files = [
        {
            **asdict(file),
            "path": str(file.path),
            "mode": f"{file.mode:04o}",
            "attributes": {name: value.hex() for name, value in (file.attributes or {}).items()},
        }
        for file in part.files
    ]
    return {"name": part.name, "sha256": part.sha256, "files": files, "before": looks}


def from_document(document: Mapping[str, Any]) -> JournalEntry:
    """The entry in *document*; KeyError, TypeError or ValueError if it is none."""
    parts = tuple(map(_part, document["parts"]))
    host = _host(document["host"]) if document["host"] is not None else None
    return JournalEntry(str(document["name"]), InstallState(document["state"]), parts, host)


def _host(document: Mapping[str, Any]) -> RemoteHost:
    address = checked(SshAddress(**document["address"]))
    return RemoteHost(address, Path(document["key_file"]), Path(document["host_keys"]))


def _part(document: Mapping[str, Any]) -> Part:
    looks = (checked(Sight(**{**look, "seen": Seen(look["seen"])})) for look in document["before"])
    files = map(_file, document["files"])
    return Part(str(document["name"]), str(document["sha256"]), tuple(files), tuple(looks))


def _file(document: Mapping[str, Any]) -> SavedFile:
    attributes = {name: bytes.fromhex(value) for name, value in document["attributes"].items()}
    path, mode = Path(document["path"]), int(document["mode"], 8)
    return checked(SavedFile(**{**document, "path": path, "mode": mode, "attributes": attributes}))
