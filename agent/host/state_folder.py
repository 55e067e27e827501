"""The agent's state folder, 0700: records, journals, staged material and backups. Backups may hold keys, others never.

lock             held during a run; its time is that of the last run
records/NAME     what is remembered of a certificate
journal/NAME     an install under way
work/NAME/       staged material and backups of an install under way; gone when it has ended
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import structlog

from agent.model.certificate import file_stem
from agent.rules import journal, record
from agent.rules.journal import JournalEntry
from agent.rules.record import Record
from common.errors import FileError
from common.files import leftover_temporaries, make_private_folder, write_atomic

T = TypeVar("T")


class DamagedError(FileError):
    """A file of the state folder does not hold what we write there."""

    reference = "damaged-state"


_log = structlog.get_logger()


class StateFolder:
    """Everything the agent keeps on disk for itself. Writing raises FileError."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._records = folder / "records"
        self._journals = folder / "journal"
        self._work = folder / "work"

    @property
    def lock_file(self) -> Path:
        return self.folder / "lock"

    def create(self) -> None:
        for folder in (self.folder, self._records, self._journals, self._work):
            make_private_folder(folder)

    def last_run(self) -> float | None:
        """When a run last began, in epoch seconds."""
        try:
            return self.lock_file.stat().st_mtime
        except OSError:
            return None

    def record(self, name: str) -> Record | None:
        """What is remembered of *name*; None if nothing is, or nothing that makes sense."""
        file = self._records / f"{file_stem(name)}.json"
        try:
            return _read(file, record.from_document)
        except DamagedError as error:  # worth a look at everything anew, not worth a stop
            _log.warning("record.damaged", certificate=name, error=str(error))
            return None

    def save_record(self, kept: Record) -> None:
        _write(self._records / f"{file_stem(kept.name)}.json", record.to_document(kept))

    def journals(self) -> list[JournalEntry]:
        """Installs that did not come to their end. FileError if one cannot be read: that needs a person."""
        files = sorted(self._journals.glob("*.json"))
        entries = (_read(file, journal.from_document) for file in files)
        return [entry for entry in entries if entry is not None]

    def save_journal(self, entry: JournalEntry) -> None:
        _write(self._journals / f"{file_stem(entry.name)}.json", journal.to_document(entry))

    def work_folder(self, name: str) -> Path:
        """A fresh private folder for staged material and backups of *name*."""
        self._drop_work(name)
        folder = self._work / file_stem(name)
        make_private_folder(folder)
        return folder

    def _drop_work(self, name: str) -> None:
        """Remove staged material and backups; what cannot be removed is left for the next time."""
        shutil.rmtree(self._work / file_stem(name), ignore_errors=True)

    def finish(self, name: str) -> None:
        """The install of *name* has ended: no journal, no backups. The journal goes first."""
        file = self._journals / f"{file_stem(name)}.json"
        try:
            for one in (file, *leftover_temporaries(file)):
                if one.exists():  # an unchanged run must not even touch the folder's times
                    one.unlink()
        except OSError as error:
            raise FileError(f"cannot remove {file}", why=error.strerror or str(error)) from error
        self._drop_work(name)


def _read(file: Path, parse: Callable[[Mapping[str, Any]], T]) -> T | None:
    try:
        return parse(json.loads(file.read_bytes()))
    except FileNotFoundError:
        return None
    except OSError as error:
        hint = "run as the user that owns the state folder, usually root"
        raise FileError(f"cannot read {file}", why=error.strerror or str(error), hint=hint) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "look at the live files and the backups in work/ beside it; then move the file away"
        raise DamagedError(f"cannot read {file}", why=f"it is damaged ({error})", hint=hint) from error


def _write(file: Path, document: dict[str, Any]) -> None:
    write_atomic(file, json.dumps(document, indent=1, sort_keys=True).encode() + b"\n", mode=0o600)
