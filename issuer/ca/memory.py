"""A JSON object in a file of the state folder: what a CA told us, or we it. It may be lost: the CA says it again."""

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
