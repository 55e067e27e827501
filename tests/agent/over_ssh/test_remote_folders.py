"""The surroundings of a live file on another host: whose folders and links lead to it, and what is left beside it."""

import os
from contextlib import closing
from pathlib import Path

import pytest

from agent.model.live_file import LiveFile
from agent.remote.access import Ended
from agent.remote.files import RemoteFiles
from common.errors import FileError
from common.replacing import temporary_name
from tests.agent.over_ssh.test_remote_faults import session_with
from tests.agent.over_ssh.test_remote_install import BOTH
from tests.agent.over_ssh.there import There
from tests.agent.remote import RemoteSite

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders to others")
STRANGER = 64123  # in no /etc/passwd


@AS_ROOT
def test_a_user_whom_a_directory_knows(open_folder: Path) -> None:
    """LDAP or SSSD: who logs in and is not in /etc/passwd is known by his number, and his folders are his."""
    own, others = open_folder / "own", open_folder / "others"
    for folder, uid in ((own, STRANGER), (others, STRANGER + 1)):
        folder.mkdir(mode=0o755)
        os.chown(folder, uid, uid)
    files = RemoteFiles(There(user="ldap-user", uid=STRANGER))
    assert files.locate(own / "full.pem") == own / "full.pem"
    with pytest.raises(FileError, match=f"exchange the files in {others}"):
        files.locate(others / "full.pem")


def test_a_host_that_does_not_tell_who_is_logged_in(tmp_path: Path) -> None:
    """The reason has the words of its `id`."""
    broken = tmp_path / "id"
    broken.write_text("#!/bin/sh\necho unknown uid >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(FileError, match="does not tell the number of its user certfleet: unknown uid"):
        RemoteFiles(There(user="certfleet", programs=tmp_path)).locate(Path("/etc/ssl/full.pem"))


@AS_ROOT
@pytest.mark.parametrize("below", ["", "full.pem"])
def test_a_link_of_another_in_a_folder_for_all(open_folder: Path, below: str) -> None:
    """As in /tmp, where anybody may put one: it is not followed, be it the file or a folder on the way. One of root is,
    and so is one of the user who logs in."""
    shelf, real = open_folder / "shelf", open_folder / "real"
    shelf.mkdir()
    shelf.chmod(0o1777)
    real.mkdir(mode=0o755)
    (real / "full.pem").write_text("")
    target = real if below else real / "full.pem"
    for name, uid in (("root", 0), ("own", STRANGER), ("others", STRANGER + 1)):
        (shelf / name).symlink_to(target)
        os.chown(shelf / name, uid, uid, follow_symlinks=False)
    files = RemoteFiles(There(user="certfleet", uid=STRANGER))
    for name in ("root", "own"):
        assert files.locate(shelf / name / below) == real / "full.pem"
    with pytest.raises(FileError, match=f"{shelf}/others of that host is a symbolic link") as caught:
        files.locate(shelf / "others" / below)
    assert str(STRANGER + 1) in caught.value.why


@BOTH
def test_a_temporary_that_cannot_be_removed(site: RemoteSite, tmp_path: Path) -> None:
    """As an immutable one; here a folder has its name. It stays, and the file is put back all the same."""
    file, left = tmp_path / "full.pem", tmp_path / temporary_name("full.pem")
    file.write_bytes(b"new")
    left.mkdir()
    was = LiveFile(b"old", 0o644, os.geteuid(), os.getegid())
    with closing(session_with(site)) as session:
        RemoteFiles(session).restore({file: was})
    assert file.read_bytes() == b"old"
    assert left.exists()


def test_a_connection_that_breaks_at_a_temporary(tmp_path: Path) -> None:
    """Nothing is put back over it: a rename that is under way there would still find its temporary."""

    class Breaking(There):
        def _run(self, script: str, stdin: bytes = b"") -> Ended:
            if script.endswith(".tmp") and "rm -f" in script:
                raise TimeoutError
            return super()._run(script, stdin)

    file = tmp_path / "full.pem"
    file.write_bytes(b"new")
    (tmp_path / temporary_name("full.pem")).touch()
    with pytest.raises(FileError, match="cannot put back"):
        RemoteFiles(Breaking()).restore({file: LiveFile(b"old", 0o644)})
    assert file.read_bytes() == b"new"


def test_folders_are_on_disk_when_files_have_their_names(tmp_path: Path) -> None:
    """A power cut leaves what was renamed: each folder is synced once, after the last name in it."""
    log, sync, one, other = (tmp_path / name for name in ("log", "sync", "o'ne", "other"))
    for folder in (one, other):
        folder.mkdir()
    files = {file: LiveFile(b"new", 0o644) for file in (one / "a", one / "b", other / "c")}
    sync.write_text(f'#!/bin/sh\ncat "{other}/c" 2>&1 | sed "s|^|$* |" >> {log}\n')
    sync.chmod(0o755)
    RemoteFiles(There(programs=tmp_path)).replace(files)
    said = log.read_text().splitlines()
    assert [line.endswith("No such file or directory") for line in said] == [True, True, True, False]
    assert said[-1] == f"{one} {other} new"
