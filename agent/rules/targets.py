"""The content, mode and owner that a live file is to get, and the places that are never written to. Pure."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from agent.model.certificate import Rights, TargetFile
from agent.model.errors import InstallError
from agent.model.live_file import ACCESS_LIST, LiveFile
from agent.model.result import Installed
from agent.rules.access_lists import group_rights, without_inherited
from common.dataclasses import replace

_CA_FOLDER = Path("/var/lib/ca-certificates")  # of openSUSE and SLES, where /etc/ssl/certs leads into it
ELSEWHERE_HINT = 'name another place in agent.toml: in [certificate.files] fullchain = "/etc/ssl/NAME.fullchain.crt"'
_EVERYBODY = 0o007
_OPEN = 0o027  # modes in which no key is taken: others read it, or its group writes


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


def refuse_dangling(links: Iterable[Path]) -> None:
    """InstallError if there are *links* that lead to nothing: nobody has looked at what would be created there."""
    for link in links:
        hint = "put a file where it leads to, or remove the link: nothing is created through one"
        raise InstallError("stage", f"{link} is a symbolic link that leads to nothing", hint=hint)


def lost_at_update(real: Mapping[Path, Path]) -> list[str]:
    """A sentence for each target whose *real* path lies where the operating system keeps CAs: its next update of them
    deletes every file there that is not its own."""
    return [
        f"{path} leads to {found}, which update-ca-certificates deletes at the next update of the system's CAs"
        for path, found in real.items()
        if found.is_relative_to(_CA_FOLDER)
    ]


def refuse_key(target: Path, live: LiveFile | None) -> None:
    """InstallError for a *target* that is a private key on another host: it could not be brought back from here."""
    if live is not None and live.is_key_elsewhere:
        raise InstallError("stage", f"{target} holds a private key", hint="name another file in agent.toml")


def as_left(file: TargetFile, live: LiveFile | None, was: Installed | None) -> LiveFile | None:
    """*live*; with the rights that the last install left to *file*, where somebody may have put a file of his own in
    the place of ours: its rights say nothing about who may have the key."""
    written = was.written.get(str(file.path)) if was is not None else None
    if live is None or written is None or not (file.holds_key and live.exchangeable):
        return live
    digest, uid, gid, mode = written.split()
    if digest == live.digest:
        return live
    return replace(live, uid=int(uid), gid=int(gid), mode=int(mode, 8), attributes={})


def reopened(live: LiveFile, facts: str) -> LiveFile | None:
    """A file with a key, with the mode of its *facts* at the last install, when it was closed; None where it still is,
    or has other content. It stays where others could exchange it."""
    digest, _, _, mode = facts.split()
    if live.exchangeable or live.digest != digest or not live.mode & _OPEN:
        return None
    return replace(live, mode=int(mode, 8))


def rights_of(file: TargetFile, *, is_new: bool) -> Rights:
    """The rights that are configured for *file*; for one that is not there yet also those of its preset."""
    configured = Rights(file.owner, file.group, file.mode)
    return configured.or_else(file.at_first) if is_new else configured


def wanted(file: TargetFile, live: LiveFile | None, owner: tuple[int, int], content: bytes) -> LiveFile:
    """The live file that *file* is to become, with *owner* (user and group, -1 where none is configured) and mode as
    configured; else with those of the *live* file; else with safe ones.

    An access control list of the live file stays where the file holds no key. With a key it stays only where no mode is
    configured, without what the folder's default list has put into it: no list of a folder opens a key.
    """
    uid, gid = owner
    if live is None:
        mode = rights_of(file, is_new=True).mode
        mode = mode if mode is not None else (0o600 if file.holds_key else 0o644)
        return LiveFile(content, mode, uid, gid, {} if file.holds_key else None)
    mode, attributes = live.mode if file.mode is None else file.mode, dict(live.attributes or {})
    access = attributes.get(ACCESS_LIST, b"")
    if file.holds_key and access:
        left = without_inherited(access, live.inheritable) if file.mode is None else b""
        if left:
            attributes[ACCESS_LIST] = left
        else:
            del attributes[ACCESS_LIST]
            if file.mode is None:
                mode = mode & ~0o070 | group_rights(access) << 3
    if file.holds_key and file.mode is None:
        mode &= ~_EVERYBODY
    return LiveFile(content, mode, live.uid if uid == -1 else uid, live.gid if gid == -1 else gid, attributes)


def is_as_wanted(live: LiveFile | None, new: LiveFile) -> bool:
    """Does the live file hold just this already, with the rights wanted?"""
    return live is not None and live.content == new.content and not differences(live, new)


def differences(live: LiveFile, new: LiveFile) -> list[str]:
    """Sentences about each right of the live file that is not as it is to be."""
    found = []
    if live.mode != new.mode:
        found.append(f"mode {live.mode:04o}, now {new.mode:04o}")
    if new.uid not in {-1, live.uid}:
        found.append(f"owner {live.uid}, now {new.uid}")
    if new.gid not in {-1, live.gid}:
        found.append(f"group {live.gid}, now {new.gid}")
    if new.attributes is not None and _access(live) != _access(new):
        found.append("an access control list, now without what opened it to others")
    return found


def loses_list(live: LiveFile, new: LiveFile) -> bool:
    """Has the live file an access control list, and the new one none?"""
    return new.attributes is not None and bool(_access(live)) and not _access(new)


def _access(file: LiveFile) -> bytes:
    return (file.attributes or {}).get(ACCESS_LIST, b"")
