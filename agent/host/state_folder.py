"""The agent's state folder, 0700: records, journals and backups. Backups alone may hold keys.

issuer.json      the issuer's key that took the place of the one in agent.toml
lock             held during a run, and during other commands that change this host
ran              empty; its time is that at which a run last began
confirmed        empty; its time is that at which all reports were last confirmed
records/NAME     the last result of a certificate; its time is 0 where a later one could not be written
kept/NAME/SERIAL certificates that were in place, for `rollback`; the newest is in place
holds/NAME       a pause: the word of a person that nothing new is taken for a while (the command is `hold`)
journal/NAME     an install under way, by the name of its first certificate; NAME+ where one before has not ended
work/NAME/       backups of an install under way; gone when it has ended
"""

import contextlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from agent.host.kept_folder import KeptFolder
from agent.model.certificate import file_stem
from agent.model.result import Result
from agent.model.waiting import Pause
from agent.rules import record
from common.dataclasses import asdict, replace
from common.errors import FileError
from common.files import (
    LARGEST_DOCUMENT,
    make_private_folder,
    read_regular,
    sync_all,
    write_atomic,
    write_private,
    write_together,
)
from common.issuer_key import parse_issuer_key
from common.late_log import LateLog
from common.replacing import file_errors
from common.strict_json import made, parse_json

if TYPE_CHECKING:
    from agent.rules.journal import JournalEntry

T = TypeVar("T")
_RAN, _CONFIRMED = "ran", "confirmed"

_log = LateLog()


class DamagedError(FileError):
    """A file of the state folder does not hold what we write there."""

    reference = "damaged-state"


class StateFolder(KeptFolder):
    """The StateStore of ``agent.journey.ports``, whose words say what each method promises."""

    def __init__(self, folder: Path):
        super().__init__(folder / "kept")
        self.folder = folder
        self._records = folder / "records"
        self._journals = folder / "journal"
        self._work = folder / "work"
        self._issuer = folder / "issuer.json"
        self._pauses = folder / "holds"

    @property
    def lock_file(self) -> Path:
        return self.folder / "lock"

    def create(self) -> None:
        for folder in (self.folder, self._records, self._journals, self._work):
            make_private_folder(folder)

    def last_run(self) -> float | None:
        """When a run last began, in epoch seconds; never raises."""
        return _moment(self.folder / _RAN) or None

    def save_run(self, moment: float) -> None:
        """Keep that a run began at *moment*. Raises FileError."""
        _set_moment(self.folder / _RAN, moment)

    @property
    def is_writable(self) -> bool:
        """Not where its file system has become read-only, as after an error of its disk. Never raises."""
        return os.access(self.folder, os.W_OK) or not self.folder.exists()

    def record(self, name: str) -> Result:
        file = _of(self._records, name)
        try:
            found = _read(file, record.from_document)
            return Result(name) if found is None else replace(found, outdated=not _moment(file))
        except DamagedError as error:  # worth a look at everything anew, not worth a stop
            _log.warning("record.damaged", certificate=name, error=str(error))
            return Result(name)

    def save_record(self, result: Result) -> None:
        """Keep one result, as `save_records`."""
        self.save_records([result])

    def save_records(self, results: Sequence[Result]) -> None:
        files = {_of(self._records, one.name): _text(record.to_document(one)) for one in results}
        try:
            write_together(files, mode=0o600)
        except FileError:  # where there is no room for another file, there is still a time to be set
            for file in files:
                with contextlib.suppress(OSError):
                    os.utime(file, (0, 0))
            raise

    def issuer_key(self, pinned: str) -> str:
        known, present = _read(self._issuer, _issuer_keys) or ("", "")
        return present if known == pinned else pinned

    def save_issuer_key(self, pinned: str, present: str) -> None:
        _write(self._issuer, {"pinned": pinned, "present": present})

    def confirmed_at(self) -> float:
        return _moment(self.folder / _CONFIRMED)

    def save_confirmed(self, moment: float) -> None:
        _set_moment(self.folder / _CONFIRMED, moment)

    def pause(self, name: str) -> Pause | None:
        return _read(_of(self._pauses, name), partial(made, Pause))

    def save_pause(self, name: str, pause: Pause | None) -> None:
        """Keep *pause* in the place of the one before; None ends that. Raises FileError."""
        file = _of(self._pauses, name)
        if pause is not None:
            make_private_folder(self._pauses)
            _write(file, asdict(pause))
            return
        with file_errors(file, "remove"):
            file.unlink(missing_ok=True)

    def journals(self) -> "list[JournalEntry]":
        files = sorted(self._journals.glob("*.json"))
        if not files:
            return []
        from agent.rules.journal import from_document  # noqa: PLC0415 - an interrupted install is rare

        return [entry for entry in (_read(file, from_document) for file in files) if entry is not None]

    def free_journal(self, name: str) -> str:
        while os.path.exists(_of(self._journals, name)):
            name += "+"  # no certificate has such a name
        return name

    def save_journal(self, entry: "JournalEntry") -> None:
        _write(_of(self._journals, entry.name), entry.document())

    def new_work(self, name: str) -> None:
        folder = self._work / file_stem(name)
        _empty(folder)
        make_private_folder(folder)

    def save_work(self, name: str, label: str, content: bytes) -> Path:
        file = self._work / file_stem(name) / label
        write_private(file, content)
        return file

    def sync_work(self, name: str) -> None:
        sync_all(self._work / file_stem(name))

    def read_work(self, file: Path) -> bytes | None:
        try:
            return read_regular(file)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(file, error) from error

    def finish(self, name: str) -> None:
        file = _of(self._journals, name)
        with file_errors(file, "remove"):  # the journal goes first: without it the backups are of no use
            file.unlink(missing_ok=True)
        self.sweep()

    def sweep(self) -> None:
        for leftover in self._journals.glob(".*"):  # temporaries of a killed process
            with contextlib.suppress(OSError):  # it does no harm, and a disk that fails is told of by what is written
                leftover.unlink()
        for folder in self._work.iterdir():
            if not (self._journals / f"{folder.name}.json").exists():
                _empty(folder)
                with contextlib.suppress(OSError):
                    folder.rmdir()


def _of(folder: Path, name: str) -> Path:
    """The document about the certificate *name*."""
    return folder / f"{file_stem(name)}.json"


def _read(file: Path, parse: Callable[[Mapping[str, Any]], T]) -> T | None:
    try:
        return parse(parse_json(read_regular(file, LARGEST_DOCUMENT)))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(file, error) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "look at the live files and the backups in work/ beside it; then move the file away"
        raise DamagedError(f"cannot read {file}", why=f"it is damaged ({error})", hint=hint) from error


def _moment(file: Path) -> float:
    """When it was last written, in epoch seconds; 0 where it is not there."""
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _set_moment(file: Path, moment: float) -> None:
    with file_errors(file):
        file.touch(mode=0o600)
        os.utime(file, (moment, moment))


def _issuer_keys(document: Mapping[str, Any]) -> tuple[str, str]:
    pinned, present = str(document["pinned"]), str(document["present"])
    parse_issuer_key(present)
    return pinned, present


def _empty(folder: Path) -> None:
    """Remove every file in *folder*; one that cannot be removed stays. shutil.rmtree would cost each run its import."""
    with contextlib.suppress(OSError):
        for file in folder.iterdir():
            file.unlink()


def _unreadable(file: Path, error: OSError) -> FileError:
    hint = "run as the user that owns the state folder, usually root"
    return FileError(f"cannot read {file}", why=error.strerror or str(error), hint=hint)


def _write(file: Path, document: dict[str, Any]) -> None:
    write_atomic(file, _text(document), mode=0o600)


def _text(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True).encode() + b"\n"
