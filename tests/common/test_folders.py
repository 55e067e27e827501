"""Files and folders that root makes for another user, in his folder: no link of his leads root elsewhere."""

import os
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from common.errors import FileError
from common.files import create_empty, create_new, give, locked, make_folder, write_atomic
from common.folders import open_folder, open_place
from issuer.webroot.local import open_local

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders to others")

THEM = 5  # games, on every Debian


def lock(file: Path) -> None:
    with locked(file, doing="test"):
        pass


MAKERS: dict[str, Callable[[Path], None]] = {
    "write_atomic": lambda file: write_atomic(file, b"ours"),
    "create_new": lambda file: create_new(file, b"ours", mode=0o644),
    "create_empty": create_empty,
    "make_folder": make_folder,
    "locked": lock,
}


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Their folder, with a folder in it."""
    folder = tmp_path / "theirs"
    (folder / "state").mkdir(parents=True)
    for one in (folder, folder / "state"):
        os.chown(one, THEM, THEM)
    return folder


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_what_root_makes_is_theirs(theirs: Path, make: Callable[[Path], None]) -> None:
    """In their folder it belongs to them."""
    made = theirs / "state" / "made"
    make(made)
    assert (made.stat().st_uid, made.stat().st_gid) == (THEM, THEM)
    assert os.listdir(made.parent) == ["made"]


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_nothing_is_made_through_their_link(theirs: Path, tmp_path: Path, make: Callable[[Path], None]) -> None:
    """The sentence names the link, and who could change it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    link = theirs / "link"
    link.symlink_to(outside)
    with pytest.raises(FileError, match=rf"{link} is a symbolic link .* games, to whom {theirs} belongs") as caught:
        make(link / "made")
    assert "give the link and the folders above it to root" in caught.value.hint
    assert os.listdir(outside) == []


@pytest.mark.sampled
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_nothing_outside_is_theirs_when_they_exchange_the_folder(
    theirs: Path, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    """Hundreds of times beside somebody who swaps the folder for a link: nothing is made outside, and nothing given."""
    outside, state, aside, link = tmp_path / "outside", theirs / "state", theirs / "aside", theirs / "link"
    outside.mkdir()
    link.symlink_to(outside)
    over = threading.Event()

    def exchange() -> None:
        while not over.is_set():
            with suppress(OSError):  # make_folder makes the folder too where it is missing just then
                state.rename(aside)
                link.rename(state)
                state.rename(link)
                aside.rename(state)

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        for number in range(300):
            with suppress(FileError, OSError):
                make(state / f"made{number}")
    finally:
        over.set()
        thread.join()
    make(theirs / "made at last")  # they may have been in the way each time
    assert os.listdir(outside) == []
    assert {made.stat().st_uid for made in theirs.rglob("made*")} == {THEM}


@pytest.mark.parametrize("make", [make_folder, lambda folder: open_local(str(folder.parent)).make(folder.name)])
def test_a_folder_of_root_s_in_place_of_the_new_one(
    theirs: Path, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In their folder they may rename what is root's, over the folder that root has just made: it is not given away."""
    private, mkdir = theirs / "private", os.mkdir
    private.mkdir(mode=0o700)
    (private / "key").touch(mode=0o600)

    def exchanged(name: str, mode: int, *, dir_fd: int) -> None:
        mkdir(name, mode, dir_fd=dir_fd)
        private.rename(theirs / name)

    monkeypatch.setattr(os, "mkdir", exchanged)
    make(theirs / "made")
    status = (theirs / "made").stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o700)


def test_what_is_given_away(theirs: Path, tmp_path: Path) -> None:
    """A file and a folder; neither what a link leads to, nor a file that has its other name elsewhere."""
    outside = tmp_path / "outside"
    outside.touch()
    file, link, other = (theirs / name for name in ("file", "link", "other"))
    file.touch()
    link.symlink_to(outside)
    other.hardlink_to(outside)
    for one in (file, theirs / "state"):
        give(one, 6, 7)
        assert (one.stat().st_uid, one.stat().st_gid) == (6, 7)
    for one, why in ((link, "symbolic link"), (other, "another name"), (theirs / "gone", "No such file")):
        with pytest.raises(FileError, match=why):
            give(one, 6, 7)
    assert outside.stat().st_uid == 0


def test_dots_lead_back_to_the_folder_that_was_come_by(tmp_path: Path) -> None:
    """As in a path of the kernel, behind a link to the folder above the one that it leads to; and never above the
    root."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a/b")
    with open_folder(tmp_path / "link" / "..") as folder:
        assert folder.path == tmp_path / "a"
    with open_folder(Path("/../..")) as folder:
        assert folder.path == Path("/")


def test_a_relative_path_begins_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the folder that the command was started in."""
    monkeypatch.chdir(tmp_path)
    write_atomic(Path("file"), b"content")
    assert (tmp_path / "file").read_bytes() == b"content"


def test_no_descriptor_stays_open(theirs: Path, tmp_path: Path) -> None:
    """However a walk ends."""
    (tmp_path / "dangling").symlink_to("nowhere/at/all")
    (theirs / "link").symlink_to(tmp_path)
    (tmp_path / "circle").symlink_to("circle")
    before = set(os.listdir("/proc/self/fd"))  # threads of other tests may close theirs meanwhile
    for path in (
        theirs / "state",
        theirs / "link" / "x",
        tmp_path / "dangling",
        tmp_path / "circle",
        tmp_path / "gone/x",
    ):
        with suppress(OSError, FileError):
            open_place(path).folder.close()
        with suppress(OSError, FileError):
            open_folder(path).close()
    assert set(os.listdir("/proc/self/fd")) <= before


def test_a_secret_takes_no_list_of_its_folder(tmp_path: Path) -> None:
    """Its mode is all that says who may read it."""
    entries = "0200000001000600ffffffff020004000500000004000000ffffffff10000400ffffffff20000000ffffffff"
    os.setxattr(tmp_path, "system.posix_acl_default", bytes.fromhex(entries))
    file = tmp_path / "secret"
    write_atomic(file, b"secret", mode=0o640)
    assert "system.posix_acl_access" not in os.listxattr(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
