"""The owner of a folder that root's agent writes live files into, who would like to have more than his folder."""

import os
import shutil
import struct
from pathlib import Path
from unittest.mock import patch

import pytest

from agent.host.files import LocalFiles
from agent.model.live_file import LiveFile
from common.files import make_folder
from tests.agent.host import Host
from tests.trust.thief import Thief

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders to others")

HIM = 5  # games, on every Debian
SECRET = b"of root alone"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host whose folder of live files is his."""
    host = Host(tmp_path / "host")
    host.make_key()
    os.chown(host.live, HIM, HIM)
    host.fullchain.write_bytes(host.self_signed())
    os.chown(host.fullchain, HIM, HIM)
    return host


def install(host: Host, owner: str = "", *, combined: bool = False) -> None:
    """A new certificate, and a run; with *combined* into one file with the key."""
    rights = f'owner = "{owner}"\n' if owner else ""
    files = f'[certificate.files]\nfullchain = "{host.fullchain}"\n{rights}'
    if combined:
        files = f'[[certificate.combined]]\npath = "{host.live}/all.pem"\nparts = ["certificate", "key"]\n{rights}'
    host.configure(files=files)
    host.offer_new()
    host.run()


def put(host: Host, name: str, *, leads_to: Path | None = None) -> Path:
    """A file or a link of his in his folder."""
    file = host.live / name
    file.unlink(missing_ok=True)
    if leads_to is not None:
        file.symlink_to(leads_to)
    else:
        file.write_bytes(b"his")
    os.chown(file, HIM, HIM, follow_symlinks=False)
    return file


def his_or_other(file: Path) -> bool:
    return file.stat().st_uid == HIM or file.read_bytes() != SECRET


def test_the_owner_of_a_folder(host: Host, tmp_path: Path) -> None:
    """What he puts there leads nowhere; what root puts there is his only where nobody says whose it is."""
    thief = Thief("The owner of a folder of live files")
    outside, new = tmp_path / "outside.pem", tmp_path / "new.pem"
    outside.write_bytes(SECRET)
    put(host, "fullchain.pem", leads_to=outside)
    install(host, "games")
    thief.tries("a file of root's for himself, by a link in place of his file", got=his_or_other(outside))
    put(host, "fullchain.pem", leads_to=new)
    install(host, "games")
    thief.tries("a new file where he may not write, by a link to nothing", got=new.exists())
    thief.tries("the same by a link in place of his folder, while the agent is at work", got=exchanges(host, tmp_path))
    entries = [(1, 6, -1), (2, 4, HIM), (4, 4, -1), (16, 4, -1), (32, 0, -1)]
    default = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *one) for one in entries)
    os.setxattr(host.live, "system.posix_acl_default", default)
    install(host, combined=True)
    combined = host.live / "all.pem"
    by_list = "system.posix_acl_access" in os.listxattr(combined)
    thief.tries("a key of the host, by the default access list of his folder", got=by_list)
    os.removexattr(host.live, "system.posix_acl_default")
    shutil.rmtree(host.state_dir)  # as if that had been the first run
    for owner, words in (
        ("", "a key that is written into his folder, by a file of his that lies there before"),
        ("root", "the same where `agent.toml` names the owner"),
        ("", "the same where it does not, by a file of his in place of the one that root wrote"),
    ):
        put(host, combined.name)
        install(host, owner, combined=True)
        assert b"PRIVATE KEY" in combined.read_bytes()
        thief.tries(words, got=combined.stat().st_uid == HIM)
    words = "a folder of root's that lies in his, by putting it in place of one that root has just made for him"
    thief.tries(words, got=becomes_his(host.live))
    thief.is_told()


def becomes_his(folder: Path) -> bool:
    """Root makes a folder in his, and he renames one of root's over it before it is given away."""
    roots, mkdir = folder / "of root", os.mkdir
    roots.mkdir()
    (roots / "file").write_bytes(SECRET)

    def exchanged(name: str, mode: int, *, dir_fd: int) -> None:
        mkdir(name, mode, dir_fd=dir_fd)
        roots.rename(folder / name)

    with patch("os.mkdir", exchanged):
        make_folder(folder / "new")
    return his_or_other(folder / "new" / "file") or (folder / "new").stat().st_uid == HIM


def exchanges(host: Host, folder: Path) -> bool:
    """Between two steps of an install his folder becomes a link to one of root's. Does he get the file there?"""
    files, target = LocalFiles(), put(host, "fullchain.pem")
    roots = folder / "of root"
    roots.mkdir()
    (roots / target.name).write_bytes(SECRET)
    real = files.locate(target)
    aside = host.live.rename(host.live.with_name("aside"))
    host.live.symlink_to(roots)
    files.replace({real: LiveFile(b"new", 0o644, HIM, HIM)})
    files.release()
    host.live.unlink()
    aside.rename(host.live)
    return his_or_other(roots / target.name) or len(os.listdir(roots)) > 1
