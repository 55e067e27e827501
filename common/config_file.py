"""Reads a TOML file and parses it into a settings class of ``common.config``."""

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from common.config import parse
from common.errors import ConfigError, Finding
from common.files import LARGEST_DOCUMENT, read_regular
from common.owners import owner_hint

T = TypeVar("T")


def load(cls: type[T], file: Path) -> T:
    """Read *file* and parse it. Raises ConfigError, also for an absent, unreadable or malformed file."""
    return parse(cls, document(file), str(file))


def document(file: Path) -> dict[str, Any]:
    """The TOML of *file* as it stands there. Raises ConfigError if it is absent, unreadable or malformed."""
    try:
        content = read_regular(file, LARGEST_DOCUMENT)
    except FileNotFoundError as error:
        raise ConfigError(
            str(file), [Finding("", "no such file")], hint="write one with `init`, or name it with --config"
        ) from error
    except OSError as error:
        hint = owner_hint(file) if isinstance(error, PermissionError) else "name the file with --config"
        raise ConfigError(str(file), [Finding("", f"cannot be read ({error.strerror})")], hint=hint) from error
    return document_in(content, file)


def document_in(content: bytes, file: Path) -> dict[str, Any]:
    """The TOML of *content*, which *file* holds or is to hold. Raises ConfigError if it is malformed."""
    try:
        return tomllib.loads(content.decode("utf-8"))
    except ValueError as error:  # wrong TOML or UTF-8, or a number that Python refuses
        raise ConfigError(str(file), [Finding("", f"is not TOML: {error}")], hint="mend that line") from error
    except RecursionError as error:
        raise ConfigError(str(file), [Finding("", "is nested too deeply")], hint="mend the brackets in it") from error
