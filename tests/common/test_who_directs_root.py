"""The user or group who can change the file of root's commands is named, however the path leads there."""

import os
from pathlib import Path

import pytest

from common.errors import FileError
from common.owners import who_directs_root

NOBODY = 65534


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """One of root's."""
    folder = tmp_path / "conf"
    folder.mkdir(mode=0o755)
    made = folder / "agent.toml"
    made.touch(mode=0o600)
    assert who_directs_root(made) == ""
    return made


def test_a_link_in_a_folder_of_another(file: Path, tmp_path: Path) -> None:
    """Behind it lies a file of root's, until he exchanges the link; also one that lies behind a link of root's."""
    his = tmp_path / "his"
    his.mkdir()
    (his / "conf").symlink_to(file.parent)
    os.chown(his, NOBODY, NOBODY)
    mine = tmp_path / "mine"
    mine.symlink_to(his / "conf")
    for path in (his / "conf" / "agent.toml", mine / "agent.toml"):
        assert f"to whom {his} belongs" in who_directs_root(path)
    mine.unlink()
    mine.symlink_to(file.parent)
    assert who_directs_root(mine / "agent.toml") == ""


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_a_group_may_write(file: Path, what: str) -> None:
    """Root's own group is root."""
    place = file if what == "file" else file.parent
    place.chmod(0o770)
    assert who_directs_root(file) == ""
    os.chown(place, 0, NOBODY)
    assert f"as {place} is writable for it" in who_directs_root(file)


def test_links_without_end(tmp_path: Path) -> None:
    """They end here, and nothing can be read by them."""
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(FileError, match=r"symbolic links"):
        who_directs_root(tmp_path / "a" / "agent.toml")
