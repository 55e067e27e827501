"""Certificates from an SQLite file on this host: read-only for reading, opened for writing only to report."""

import contextlib
import os
import pwd
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.model.errors import SourceError
from agent.model.offer import Mark, Offer, Report

_BUSY_TIMEOUT = 10.0  # seconds to wait for the issuer's own write to end


class SqliteSource:
    """The Source over an SQLite file."""

    def __init__(self, file: Path):
        self._file = file
        self._connection: sqlite3.Connection | None = None

    def mark(self, name: str) -> Mark | None:
        row = self._one("SELECT ts_last_update, ts_expire FROM certs WHERE name = ?", name)
        return Mark(int(row[0] or 0), int(row[1] or 0)) if row else None

    def fetch(self, name: str) -> Offer | None:
        row = self._one("SELECT crt, ca FROM certs WHERE name = ?", name)
        return Offer(_as_bytes(row[0]), _as_bytes(row[1])) if row else None

    def older_on_purpose(self, name: str) -> str:
        row = self._one("SELECT rolled_back FROM certs WHERE name = ?", name)
        return str(row[0] or "") if row else ""

    def report(self, report: Report) -> None:
        columns = "name, host, account, sha256, not_after, state, detail, ts_report"
        account = _account()
        values = (
            *(report.name, report.host, account, report.sha256),
            *(report.not_after, report.state, report.detail, report.reported_at),
        )
        with _translated(self._file):
            connection = sqlite3.connect(_uri(self._file, "rw"), uri=True, timeout=_BUSY_TIMEOUT)
            with contextlib.closing(connection), connection:
                statement = f"INSERT OR REPLACE INTO installations ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - a constant
                connection.execute(statement, values)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _one(self, statement: str, name: str) -> tuple[Any, ...] | None:
        with _translated(self._file):
            if self._connection is None:
                self._connection = sqlite3.connect(_uri(self._file, "ro"), uri=True, timeout=_BUSY_TIMEOUT)
            row: tuple[Any, ...] | None = self._connection.execute(statement, (name,)).fetchone()
            return row


def _uri(file: Path, mode: str) -> str:
    return f"{file.as_uri()}?mode={mode}"


def _as_bytes(value: Any) -> bytes:
    """SQLite keeps what it was given: text where another program wrote text."""
    return value.encode() if isinstance(value, str) else bytes(value or b"")


def _account() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


@contextlib.contextmanager
def _translated(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if not os.path.exists(file):  # unlike Path.exists, says False where it may not look
            raise SourceError(f"there is no database {file}", hint="name the right file in [source] url") from error
        hint = "check [source] url, and that this user may read the file and its folder"
        if "no such table" in str(error):
            hint = "run `certfleet-issuer db upgrade` on the issuer"
        raise SourceError(f"the database {file} cannot be used", why=str(error), hint=hint) from error
