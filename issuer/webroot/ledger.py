"""The folders in webroots that certfleet made, kept in the state folder. Only those are removed, also after a crash."""

import json
import threading
from pathlib import Path

import structlog

from common.files import make_private_folder, write_atomic

log = structlog.get_logger()


class MadeFolders:
    """Thread-safe; other processes are kept out by the lock on the state folder."""

    def __init__(self, file: Path):
        self._file = file
        self._lock = threading.Lock()

    def of(self, place: str) -> "FoldersOf":
        """The part that concerns one machine."""
        return FoldersOf(self, place)

    def change(self, entry: str, *, made: bool) -> None:
        """Remember *entry*, or strike it out. Raises FileError."""
        with self._lock:
            entries = self._read()
            if (entry in entries) == made:
                return
            entries = entries | {entry} if made else entries - {entry}
            make_private_folder(self._file.parent)
            write_atomic(self._file, (json.dumps(sorted(entries), indent=1) + "\n").encode(), mode=0o600)

    def holds(self, entry: str) -> bool:
        with self._lock:
            return entry in self._read()

    def _read(self) -> set[str]:
        try:
            entries = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return set()
        except (OSError, ValueError) as error:  # an empty folder may stay behind: no reason to issue nothing
            log.warning("webroot.ledger", file=str(self._file), error=str(error))
            return set()
        return {str(entry) for entry in entries} if isinstance(entries, list) else set()


class FoldersOf:
    def __init__(self, ledger: MadeFolders, place: str):
        self._ledger = ledger
        self._place = place

    def note(self, folder: str) -> None:
        self._ledger.change(self._place + folder, made=True)

    def forget(self, folder: str) -> None:
        self._ledger.change(self._place + folder, made=False)

    def holds(self, folder: str) -> bool:
        return self._ledger.holds(self._place + folder)
