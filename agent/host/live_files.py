"""The live files of a certificate: what they hold, whose they are, and putting others in their place."""

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.model.certificate import Certificate, TargetFile
from agent.model.errors import InstallError
from common.certificate import Bundle
from common.errors import FileError
from common.files import LARGEST_READ, NewContent, leftover_temporaries, sync_folder, write_all_atomic
from common.owners import owner_ids

_KEPT_ATTRIBUTES = {"system.posix_acl_access", "security.selinux"}
_EVERYBODY = 0o007


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A file as it is: content, mode, owner, access control list and SELinux context."""

    content: bytes = field(repr=False)  # may hold a key
    mode: int
    uid: int
    gid: int
    attributes: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        return digest(self.content)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def snapshot(file: Path) -> Snapshot | None:
    """*file* as it is, None if it does not exist. Raises FileError."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise FileError(f"{file} is not a regular file", hint="name another path in agent.toml")
            mode = stat.S_IMODE(status.st_mode)
            content = stream.read(LARGEST_READ + 1)
            if len(content) > LARGEST_READ:
                hint = "no certificate is that long: name another path in agent.toml, or move that file away"
                raise FileError(f"{file} is larger than {LARGEST_READ} bytes", hint=hint)
            return Snapshot(content, mode, status.st_uid, status.st_gid, _attributes(descriptor))
    except FileNotFoundError:
        return None
    except OSError as error:
        hint = "run as the user that may read it, usually root"
        raise FileError(f"cannot read {file}", why=error.strerror or str(error), hint=hint) from error


def _attributes(descriptor: int) -> dict[str, bytes]:
    try:
        return {name: os.getxattr(descriptor, name) for name in os.listxattr(descriptor) if name in _KEPT_ATTRIBUTES}
    except OSError:  # a file system without them
        return {}


def content_digests(certificate: Certificate) -> dict[str, str]:
    """SHA-256 of each live file by its path, "" for one that is absent. Raises FileError."""
    found = ((str(file.path), snapshot(file.path)) for file in certificate.files)
    return {path: live.digest if live else "" for path, live in found}


def render(file: TargetFile, bundle: Bundle, key: bytes) -> bytes:
    """The content of *file*: its parts in the order configured, each ending with a line end."""
    parts = {"certificate": bundle.leaf_pem, "chain": bundle.chain_pem, "key": key.rstrip(b"\n") + b"\n"}
    return b"".join(parts[part] for part in file.parts)


def plan(
    certificate: Certificate, bundle: Bundle, key: bytes, protected: Iterable[Path] = ()
) -> dict[Path, NewContent]:
    """What each live file is to become, by its real path: a link stays and its target changes. Nothing is written.

    InstallError if one leads to the key, or to a file or into a folder that is *protected*, by whatever detour.
    """
    untouchable = [Path(os.path.realpath(one)) for one in (certificate.key, *protected)]
    planned: dict[Path, NewContent] = {}
    for file in certificate.files:
        real = Path(os.path.realpath(file.path))
        if any(real.is_relative_to(one) for one in untouchable):
            hint = "name a file of its own in agent.toml: keys, settings, database and state folder are never targets"
            raise InstallError("stage", f"{file.path} leads to {real}, which must not be overwritten", hint=hint)
        if real in planned:
            raise InstallError("stage", f"{file.path} leads to {real}, which another file leads to as well")
        if not os.path.isdir(real.parent):
            hint = "create it, or run as the user that may enter it"
            raise InstallError("stage", f"the folder {real.parent} does not exist", hint=hint)
        planned[real] = _new_content(file, snapshot(real), render(file, bundle, key))
    return planned


def _new_content(file: TargetFile, live: Snapshot | None, content: bytes) -> NewContent:
    """The owner, group and mode configured; else those of the file replaced; else safe ones."""
    uid, gid = owner_ids(file.owner, file.group)
    mode = file.mode
    if mode is None:
        mode = live.mode if live else (0o600 if file.holds_key else 0o644)
        mode = mode & ~_EVERYBODY if file.holds_key else mode
    if live is None:
        return NewContent(content, mode, uid, gid)
    attributes = {} if file.mode is not None else live.attributes
    return NewContent(content, mode, live.uid if uid == -1 else uid, live.gid if gid == -1 else gid, attributes)


def is_as_planned(planned: Mapping[Path, NewContent]) -> bool:
    """Do the live files hold just this already, with the modes and owners wanted?"""
    for file, new in planned.items():
        live = snapshot(file)
        if live is None or live.content != new.content or live.mode != new.mode:
            return False
        if new.uid not in {-1, live.uid} or new.gid not in {-1, live.gid}:
            return False
    return True


def swap(planned: Mapping[Path, NewContent]) -> None:
    """Put all new contents in place, one rename each. Raises FileError; then some files may be new, usually none."""
    write_all_atomic(planned)


def restore(old: Mapping[Path, Snapshot | None]) -> None:
    """Put everything back as it was; a file that did not exist is removed. Raises FileError."""
    for file in old:
        for temporary in leftover_temporaries(file):
            remove(temporary)
    kept = {file: was for file, was in old.items() if was is not None and not _is(file, was)}
    write_all_atomic(
        {file: NewContent(was.content, was.mode, was.uid, was.gid, was.attributes) for file, was in kept.items()}
    )
    for file, was in old.items():
        if was is None:
            remove(file)


def _is(file: Path, was: Snapshot) -> bool:
    """What cannot be read is not as it was, and must not keep the old content from coming back."""
    try:
        return snapshot(file) == was
    except FileError:
        return False


def remove(file: Path) -> None:
    """Remove *file* if it is there. Raises FileError."""
    try:
        file.unlink(missing_ok=True)
        sync_folder(file.parent)
    except OSError as error:
        raise FileError(f"cannot remove {file}", why=error.strerror or str(error)) from error


def circumstances(certificate: Certificate) -> str:
    """Changes with this certificate's settings and with the key file: then a refused certificate has a new chance."""
    try:
        status = certificate.key.stat()
        stamp = f"{status.st_ino} {status.st_mtime_ns} {status.st_size} {status.st_mode}"
    except OSError as error:
        stamp = f"error {error.errno}"
    return digest(f"{certificate.digest} {stamp}".encode())
