"""Several files replaced together: all or none, and nothing left beside them."""

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from common.errors import FileError
from common.files import sync_all
from common.folders import Place, open_folder
from common.replacing import NewContent, remove_leftovers, replace_all


def place(file: Path) -> Place:
    return Place(open_folder(file.parent), file.name)


def test_all_are_replaced_with_their_modes(tmp_path: Path) -> None:
    """Content and mode of each, one that was there and one that was not."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("old")
    replace_all({place(old): NewContent(b"1", 0o640), place(new): NewContent(b"2", 0o600)})
    assert [(file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) for file in (old, new)] == [
        (b"1", 0o640),
        (b"2", 0o600),
    ]
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]


def test_none_is_replaced_when_one_cannot_be_written(tmp_path: Path) -> None:
    """The temporaries come first: a folder that is gone for the second file leaves the first as it was."""
    first, folder = tmp_path / "first", tmp_path / "gone"
    first.write_text("old")
    folder.mkdir()
    second = place(folder / "second")
    folder.rmdir()
    with pytest.raises(FileError, match="cannot write"):
        replace_all({place(first): NewContent(b"1", 0o600), second: NewContent(b"2", 0o600)})
    assert first.read_text() == "old"
    assert os.listdir(tmp_path) == ["first"]


def test_many_wait_for_the_disk_side_by_side_and_before_the_first_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two are synced at the same moment; at that of the first rename all have been, whatever the number."""
    met, fsync, rename = threading.Event(), os.fsync, os.rename
    begun, synced, renamed = list[int](), list[int](), list[int]()

    def together(descriptor: int) -> None:
        begun.append(descriptor)
        if len(begun) > 1:
            met.set()
        assert met.wait(10)
        fsync(descriptor)
        synced.append(descriptor)

    def noted(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        renamed.append(len(synced))
        rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "fsync", together)
    monkeypatch.setattr(os, "rename", noted)
    folder = open_folder(tmp_path)
    files = {Place(folder, f"{number}"): NewContent(b"1", 0o600) for number in range(240)}
    replace_all(files)
    assert renamed == [240] * 240
    assert len(os.listdir(tmp_path)) == 240


def test_one_that_cannot_be_synced_leaves_all_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever thread meets the error: it is told with the name of its file."""
    folder, bad = open_folder(tmp_path), tmp_path / "7"
    fsync = os.fsync

    def broken(descriptor: int) -> None:
        if ".7." in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EIO, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(FileError, match=f"cannot write {bad}: Input/output error"):
        replace_all({Place(folder, f"{number}"): NewContent(b"1", 0o600) for number in range(20)})
    assert os.listdir(tmp_path) == []


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    """Only the temporaries of this very file."""
    left = {".a.pem.123.tmp", ".a.pem.0f3c9a1e.tmp"}
    others = {".aXpem.123.tmp", ".a.pem.x.tmp", ".b.a.pem.1.tmp"}
    for name in left | others:
        (tmp_path / name).touch()
    folder = tmp_path / ".a.pem.7.tmp"
    folder.mkdir()
    remove_leftovers(place(tmp_path / "a.pem"))
    assert set(os.listdir(tmp_path)) == {*others, folder.name}


def test_two_of_one_number_share_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As processes in two containers may have it: the second replaces the file while the temporary of the first is
    written, and both succeed."""
    file, fsync, numbers = place(tmp_path / "a"), os.fsync, iter(b"12")

    def meanwhile(descriptor: int) -> None:
        for number in numbers:
            replace_all({file: NewContent(bytes([number]), 0o600)})
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", meanwhile)
    replace_all({file: NewContent(b"0", 0o600)})
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"0"


def test_everything_of_a_folder_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file, and then the folder that names them."""
    synced, fsync = list[int](), os.fsync

    def noted(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    for name in "abc":
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(os, "fsync", noted)
    sync_all(tmp_path)
    assert set(synced[:-1]) == {(tmp_path / name).stat().st_ino for name in "abc"}
    assert synced[-1] == tmp_path.stat().st_ino
    with pytest.raises(FileError):
        sync_all(tmp_path / "gone")
