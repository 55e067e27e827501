"""The folders in webroots that certfleet made, kept in the state folder. Only those are removed, also after a crash."""

import copy
import json
import threading
from pathlib import Path

import structlog

from common.files import make_private_folder, read_regular, write_atomic
from common.strict_json import parse_json

log = structlog.get_logger()
_LARGEST = 100_000_000  # bytes: folders of 100,000 names


class MadeFolders:
    """The folders on this machine. Thread-safe; the lock on the state folder keeps other processes out."""

    def __init__(self, file: Path):
        self._file = file
        self._machine = ""
        self._lock = threading.Lock()

    def on(self, machine: str) -> "MadeFolders":
        """The folders on *machine* (an sftp:// URL, "" for this one), in the same file under the same lock."""
        other = copy.copy(self)
        other._machine = machine
        return other

    def change(self, folder: str, *, made: bool) -> None:
        """Add *folder*, or take it out. Raises FileError."""
        entry = self._machine + folder
        with self._lock:
            entries = self._read()
            if (entry in entries) == made:
                return
            entries = entries | {entry} if made else entries - {entry}
            make_private_folder(self._file.parent)
            write_atomic(self._file, (json.dumps(sorted(entries), indent=1) + "\n").encode(), mode=0o600)

    def holds(self, folder: str) -> bool:
        """Did certfleet make *folder*?"""
        with self._lock:
            return self._machine + folder in self._read()

    def _read(self) -> set[str]:
        try:
            entries = parse_json(read_regular(self._file, _LARGEST))
        except FileNotFoundError:
            return set()
        except (OSError, ValueError) as error:  # no reason to issue nothing: an empty folder may stay behind
            log.warning("webroot.ledger", file=str(self._file), error=str(error))
            return set()
        return {str(entry) for entry in entries} if isinstance(entries, list) else set()
