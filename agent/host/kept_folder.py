"""The folder of the certificates that were in place before, below the state folder: NAME/SERIAL.pem, 0600."""

import os
from collections.abc import Sequence
from pathlib import Path

from agent.model.certificate import file_stem
from common.chunks import chunks
from common.errors import FileError
from common.files import make_private_folder, read_regular, write_together
from common.replacing import file_errors

_SIDE_BY_SIDE = 100  # folders that are open at once


class KeptFolder:
    """The part of the StateStore of ``agent.journey.ports`` that is about kept certificates. *folder*: theirs."""

    def __init__(self, folder: Path):
        self._kept = folder

    def kept_serials(self, name: str) -> list[str]:
        folder = self._kept / file_stem(name)
        try:
            files = [(file.stat().st_mtime_ns, file.stem) for file in folder.glob("[!.]*.pem")]
        except OSError as error:
            raise FileError(f"cannot look into {folder}", why=error.strerror or str(error)) from error
        return [serial for _, serial in sorted(files, reverse=True)]

    def save_kept(self, certificates: Sequence[tuple[str, str, bytes]]) -> None:
        files = [(self._file(name, serial), fullchain) for name, serial, fullchain in certificates]
        for folder in (self._kept, *(file.parent for file, _ in files)):
            make_private_folder(folder)
        for some in chunks(files, _SIDE_BY_SIDE):
            write_together(dict(some), mode=0o600)
        for file, _ in files:
            _date_last(file)

    def read_kept(self, name: str, serial: str) -> bytes:
        file = self._file(name, serial)
        try:
            return read_regular(file)
        except OSError as error:
            raise FileError(f"cannot read {file}", why=error.strerror or str(error)) from error

    def drop_kept(self, name: str, serial: str) -> None:
        file = self._file(name, serial)
        with file_errors(file, "remove"):
            file.unlink(missing_ok=True)

    def _file(self, name: str, serial: str) -> Path:
        return self._kept / file_stem(name) / f"{serial}.pem"


def _date_last(file: Path) -> None:
    """Let *file* be the youngest of its folder, also where the clock was ahead when another one was kept."""
    with file_errors(file, "date"):
        youngest = max((one.stat().st_mtime_ns for one in file.parent.glob("[!.]*.pem") if one != file), default=0)
        if file.stat().st_mtime_ns <= youngest:
            os.utime(file, ns=(youngest + 1, youngest + 1))
