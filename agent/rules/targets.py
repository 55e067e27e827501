"""The content, mode and owner that a live file is to get, and the places that are never written to. Pure."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from agent.model.certificate import TargetFile
from agent.model.errors import InstallError
from agent.model.live_file import LiveFile

_EVERYBODY = 0o007


def refuse_detours(real: Mapping[Path, Path], protected: Iterable[Path]) -> None:
    """InstallError if a target leads to, or into, something *protected*, or if two targets lead to one file.

    *real* has the real path, behind all links, of each target's own; *protected* are real paths too.
    """
    untouchable, seen = tuple(protected), set()
    for path, found in real.items():
        if any(found.is_relative_to(one) for one in untouchable):
            hint = "name a file of its own in agent.toml: keys, settings, database and state folder are never targets"
            raise InstallError("stage", f"{path} leads to {found}, which must not be overwritten", hint=hint)
        if found in seen:
            raise InstallError("stage", f"{path} leads to {found}, which another file leads to as well")
        seen.add(found)


def wanted(file: TargetFile, live: LiveFile | None, owner: tuple[int, int], parts: Mapping[str, bytes]) -> LiveFile:
    """What *file* is to become, with *owner* (user and group, -1 where none is configured) and mode as configured; else
    with those of the *live* file; else with safe ones. *parts* has the PEM text of each part."""
    content = b"".join(parts[part] for part in file.parts)
    uid, gid = owner
    mode = file.mode
    if mode is None:
        mode = live.mode if live else (0o600 if file.holds_key else 0o644)
        mode = mode & ~_EVERYBODY if file.holds_key else mode
    if live is None:
        return LiveFile(content, mode, uid, gid)
    attributes = {} if file.mode is not None else live.attributes
    return LiveFile(content, mode, live.uid if uid == -1 else uid, live.gid if gid == -1 else gid, attributes)


def is_as_wanted(live: LiveFile | None, new: LiveFile) -> bool:
    """Does the live file hold just this already, with the mode and owner wanted?"""
    return (
        live is not None
        and (live.content, live.mode) == (new.content, new.mode)
        and new.uid in {-1, live.uid}
        and new.gid in {-1, live.gid}
    )
