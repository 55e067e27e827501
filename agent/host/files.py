"""The live files of this machine: read, looked at, put in place and put back."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from agent.model.live_file import LiveFile
from common.errors import FileError
from common.files import LARGEST_READ, NewContent, leftover_temporaries, sync_folder, write_all_atomic
from common.owners import owner_ids

_KEPT_ATTRIBUTES = {"system.posix_acl_access", "security.selinux"}


class LocalFiles:
    """The Files of ``agent.journey.ports``, whose words say what each method promises."""

    def stamp(self, file: Path) -> str:
        try:
            status = file.stat()
        except OSError as error:
            return f"error {error.errno}"
        return f"{status.st_ino} {status.st_mtime_ns} {status.st_size} {status.st_mode}"

    def digest(self, file: Path) -> str:
        live = self.read(file)
        return live.digest if live else ""

    def read(self, file: Path) -> LiveFile | None:
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as stream:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise FileError(f"{file} is not a regular file", hint="name another path in agent.toml")
                content = stream.read(LARGEST_READ + 1)
                if len(content) > LARGEST_READ:
                    hint = "no certificate is that long: name another path in agent.toml, or move that file away"
                    raise FileError(f"{file} is larger than {LARGEST_READ} bytes", hint=hint)
                mode, attributes = stat.S_IMODE(status.st_mode), _attributes(descriptor)
                return LiveFile(content, mode, status.st_uid, status.st_gid, attributes)
        except FileNotFoundError:
            return None
        except OSError as error:
            hint = "run as the user that may read it, usually root"
            raise FileError(f"cannot read {file}", why=error.strerror or str(error), hint=hint) from error

    def locate(self, file: Path) -> Path:
        real = Path(os.path.realpath(file))
        if not os.path.isdir(real.parent):
            hint = "create it, or run as the user that may enter it"
            raise FileError(f"the folder {real.parent} does not exist", hint=hint)
        return real

    def owner_ids(self, owner: str, group: str) -> tuple[int, int]:
        try:
            return owner_ids(owner, group)
        except ValueError as error:
            raise FileError(str(error), hint="name another owner or group in agent.toml") from error

    def replace(self, contents: Mapping[Path, LiveFile]) -> None:
        write_all_atomic({file: _new(content) for file, content in contents.items()})

    def restore(self, old: Mapping[Path, LiveFile | None]) -> None:
        for file in old:
            for temporary in leftover_temporaries(file):
                _remove(temporary)
        write_all_atomic({file: _new(was) for file, was in old.items() if was is not None and not self._is(file, was)})
        for file, was in old.items():
            if was is None:
                _remove(file)

    def _is(self, file: Path, was: LiveFile) -> bool:
        """A file that cannot be read is not as it was, and must not keep the old content from coming back."""
        try:
            return self.read(file) == was
        except FileError:
            return False


def _attributes(descriptor: int) -> dict[str, bytes]:
    try:
        return {name: os.getxattr(descriptor, name) for name in os.listxattr(descriptor) if name in _KEPT_ATTRIBUTES}
    except OSError:  # a file system without them
        return {}


def _new(content: LiveFile) -> NewContent:
    return NewContent(content.content, content.mode, content.uid, content.gid, content.attributes)


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
        sync_folder(file.parent)
    except OSError as error:
        raise FileError(f"cannot remove {file}", why=error.strerror or str(error)) from error
