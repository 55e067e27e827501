"""The journey of a request: a key that is born on its host, and the CSR, which is written here and goes to the issuer.

A key that exists is never overwritten: a second run makes a CSR for it, and only that. A CSR holds nothing that could
not be made again from the key, so one for the same key may be replaced.
"""

import os
from pathlib import Path

from agent.journey.ports import Keys
from agent.model.host_key import HostKey
from common import files
from common.dataclasses import dataclass
from common.errors import FileError, RefusedError

_MOST_NAMES = 100  # as many as CAs accept in one certificate
_DEFAULT_KEY_TYPE = "ecdsa-p256"
_ANOTHER_CSR = "move it away, or name another file with --csr"


@dataclass(frozen=True, slots=True)
class Request:
    """The wishes of the user. *key_type* is empty when the user did not say, *csr* is None for standard output."""

    names: tuple[str, ...]
    key_file: Path
    key_type: str
    csr_file: Path | None


@dataclass(frozen=True, slots=True)
class Requested:
    """The key and the CSR in PEM that there are now, and which of them are new."""

    key: HostKey
    key_created: bool
    csr_pem: bytes
    csr_written: bool


def request(wanted: Request, keys: Keys) -> Requested:
    """Make what is missing of key and CSR. Raises RefusedError, FileError, ConfigError (a key that is too open)."""
    if len(wanted.names) > _MOST_NAMES:
        raise RefusedError(f"{len(wanted.names)} names are more than CAs accept in one certificate ({_MOST_NAMES})")
    if wanted.csr_file is not None and _is_there(wanted.csr_file) and not keys.is_there(wanted.key_file):
        why = f"its key is not {wanted.key_file}, which does not exist"
        raise FileError(f"{wanted.csr_file} exists already", why=why, hint=_ANOTHER_CSR)
    if wanted.csr_file is not None and not os.path.isdir(wanted.csr_file.parent):
        hint = "name another file with --csr; - is standard output"
        raise FileError(f"cannot write {wanted.csr_file}", why="there is no such folder", hint=hint)
    key, created = _key(wanted, keys)
    existing = _existing_csr(wanted, key, keys)
    if existing:
        return Requested(key, created, existing, csr_written=False)
    csr_pem = keys.csr_of(wanted.key_file, wanted.names)
    if wanted.csr_file is not None:
        files.write_atomic(wanted.csr_file, csr_pem, mode=0o644)
    return Requested(key, created, csr_pem, csr_written=wanted.csr_file is not None)


def _key(wanted: Request, keys: Keys) -> tuple[HostKey, bool]:
    if keys.is_there(wanted.key_file):
        key = keys.load(wanted.key_file)
        if wanted.key_type and wanted.key_type != key.key_type:
            raise RefusedError(
                f"{wanted.key_file} exists already",
                why=f"it is a key of type {key.key_type}, not {wanted.key_type}; keys are never overwritten",
                hint="leave out --key-type to make a CSR for it; a key that nothing uses may be moved away",
            )
        return key, False
    return keys.create(wanted.key_file, wanted.key_type or _DEFAULT_KEY_TYPE), True


def _existing_csr(wanted: Request, key: HostKey, keys: Keys) -> bytes:
    """The CSR that is there already, if it asks for just this; empty if one must be written."""
    if wanted.csr_file is None or not _is_there(wanted.csr_file):
        return b""
    try:
        content = files.read_regular(wanted.csr_file)
        found_spki, found_names = keys.csr_facts(content)
    except OSError as error:
        raise FileError(
            f"cannot read {wanted.csr_file}", why=error.strerror or str(error), hint=_ANOTHER_CSR
        ) from error
    except ValueError as error:
        raise FileError(f"{wanted.csr_file} exists already", why="it is not a CSR", hint=_ANOTHER_CSR) from error
    if found_spki != key.spki_sha256:
        raise FileError(f"{wanted.csr_file} exists already", why="it belongs to another key", hint=_ANOTHER_CSR)
    return content if found_names == tuple(sorted(wanted.names)) else b""


def _is_there(file: Path) -> bool:
    """Unlike ``Path.exists``, False where this user may not look: the attempt to write then says so."""
    return os.path.lexists(file)
