"""JSON objects in files of the state folder: what a CA told us, or we it. They may be lost: the CA says it again."""

import json
from pathlib import Path
from typing import Any

import structlog

from common.errors import FileError
from common.files import read_regular, write_atomic
from common.strict_json import parse_json

log = structlog.get_logger()


def recall(file: Path) -> dict[str, Any]:
    """The object in *file*; {} where there is none, or it cannot be read."""
    try:
        known = parse_json(read_regular(file))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def remember(file: Path, known: dict[str, Any]) -> None:
    """Write *known* to *file*, 0600. A file that cannot be written is logged: it does no harm."""
    try:
        write_atomic(file, json.dumps(known, indent=2).encode(), mode=0o600)
    except FileError as error:
        log.warning("account.not_remembered", error=str(error))


class AccountMemory:
    """The accounts that CAs gave us, in *file*. Each URL stands in it under the CA's directory, and under *account*,
    the identity of directory and key: a key that was named on purpose is told by it from one that the CA no longer
    takes."""

    def __init__(self, file: Path, directory: str, account: str):
        self._file = file
        self._directory = directory
        self._account = account

    @property
    def url(self) -> str:
        """The URL of our key's account when it was last heard of; "" if it never was."""
        url = recall(self._file).get(self._account)
        return url if isinstance(url, str) else ""

    def remember(self, url: str) -> None:
        """Save *url*. An error is logged if the CA gave us another account before: CAA records may name that one, and
        the new one has rate limits of its own."""
        known = recall(self._file)
        before = known.get(self._directory)
        if before == url == known.get(self._account):
            return
        if before and before != url:
            hint = (
                "if you did not change account_key, find out who did; CAA records with accounturi must name the new "
                "account"
            )
            log.error("account.changed", directory=self._directory, before=before, now=url, hint=hint)
        remember(self._file, {**known, self._directory: url, self._account: url})
