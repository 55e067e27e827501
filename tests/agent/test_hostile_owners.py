"""A folder of live files that belongs to another user: its owner gets nothing outside it, whatever he puts there."""

import os
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from agent.host.files import LocalFiles
from agent.model.live_file import LiveFile
from common.errors import FileError
from tests.agent.host import Host
from tests.agent.test_install_killed import die

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders to others")

THEM, THEIR_GROUP = 5, 60  # games, on every Debian
SECRET = b"of root alone"


class Home:
    """A folder of theirs with a live file, and a file of root's outside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.tls = folder / "home", folder / "home/tls"
        self.outside = folder / "outside"
        self.victim = self.outside / "cert.pem"
        self.target = self.tls / "cert.pem"
        self.tls.mkdir(parents=True)
        self.outside.mkdir()
        self.victim.write_bytes(SECRET)
        self.victim.chmod(0o600)
        self.target.write_bytes(b"old")
        for one in (self.folder, self.tls, self.target):
            os.chown(one, THEM, THEIR_GROUP)

    def link(self, at: Path, to: Path, owner: int = THEM) -> None:
        """Put a link in the place of what is there."""
        if at.is_dir() and not at.is_symlink():
            at.rename(at.with_name("aside"))
        new = at.with_name("new-link")
        new.symlink_to(to)
        os.chown(new, owner, owner, follow_symlinks=False)
        new.rename(at)

    def assert_untouched(self) -> None:
        """What lies outside is as it was, and nothing new."""
        status = self.victim.lstat()
        assert (self.victim.read_bytes(), stat.S_IMODE(status.st_mode), status.st_uid) == (SECRET, 0o600, 0)
        assert os.listdir(self.outside) == [self.victim.name]


@pytest.fixture
def home(host: Host) -> Home:
    """The host's live file in their folder, given to them in agent.toml too."""
    home = Home(host.folder)
    host.configure(files=f'[certificate.files]\nfullchain = "{home.target}"\nowner = "games"')
    return home


def test_their_folder_is_a_legitimate_target(host: Host, home: Home) -> None:
    """The file in it is replaced, and is theirs as before."""
    issued = host.offer_new()
    done = host.run()
    assert done.code == 0, done.err
    assert (home.target.read_bytes(), home.target.stat().st_uid) == (issued.fullchain_pem, THEM)
    home.assert_untouched()


@pytest.mark.parametrize("owner", [THEM, 0])
@pytest.mark.parametrize("what", ["file", "folder", "dangling"])
def test_a_link_in_their_folder_is_not_followed(host: Host, home: Home, what: str, owner: int) -> None:
    """One that they made, or one of root's that they can move: what it leads to stays as it is and as root's."""
    at, to = (home.tls, home.outside) if what == "folder" else (home.target, home.victim)
    home.link(at, to if what != "dangling" else home.outside / "new.pem", owner)
    host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed")
    director = "games, to whom it belongs," if owner else f"games, to whom {home.folder} belongs,"
    assert f"{at} is a symbolic link that is not followed: {director} can make it lead elsewhere" in done.err
    home.assert_untouched()


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_link_of_root_in_a_folder_that_others_may_write_to(host: Host, mode: int) -> None:
    """It is followed only where the sticky bit keeps others from exchanging it."""
    shared = host.folder / "shared"
    shared.mkdir()
    os.chown(shared, 0, THEIR_GROUP)
    shared.chmod(mode)
    (shared / "cert.pem").symlink_to(host.fullchain)
    before = host.fullchain.read_bytes()
    host.configure(files=f'[certificate.files]\nfullchain = "{shared / "cert.pem"}"')
    host.offer_new()
    done = host.run()
    assert done.code == (0 if mode & stat.S_ISVTX else 1), done.err
    assert (host.fullchain.read_bytes() == before) is not bool(mode & stat.S_ISVTX)


def test_a_farm_of_links_of_root_is_followed(host: Host) -> None:
    """By a relative link to an absolute one over a linked folder with dots, as other clients leave them."""
    archive = host.folder / "archive"
    archive.mkdir()
    (archive / "cert1.pem").write_bytes(b"old")
    (host.live / "all").symlink_to("../live/../archive")
    (host.live / "second.pem").symlink_to(host.live / "all" / "cert1.pem")
    (host.live / "first.pem").symlink_to("second.pem")
    host.configure(files=f'[certificate.files]\nfullchain = "{host.live / "first.pem"}"')
    issued = host.offer_new()
    done = host.run()
    assert done.code == 0, done.err
    assert (archive / "cert1.pem").read_bytes() == issued.fullchain_pem
    assert (host.live / "first.pem").is_symlink()


def test_nothing_is_created_through_a_dangling_link(host: Host) -> None:
    """Not even through one of root's: it may lead anywhere, into the programs that root runs too."""
    link, led = host.live / "link.pem", host.folder / "new.pem"
    link.symlink_to(led)
    host.configure(files=f'[certificate.files]\nfullchain = "{link}"')
    host.offer_new()
    done = host.run()
    assert f"{link} is a symbolic link that leads to nothing; no live file was touched" in done.err
    assert (done.code, led.exists()) == (1, False)


def test_links_in_a_circle(host: Host) -> None:
    """They end, with a sentence."""
    (host.live / "a").symlink_to("b")
    (host.live / "b").symlink_to("a")
    host.configure(files=f'[certificate.files]\nfullchain = "{host.live / "a"}"')
    host.offer_new()
    done = host.run()
    assert (done.code, "Too many levels of symbolic links" in done.err) == (1, True)


def test_a_hard_link_is_replaced_and_what_it_named_is_not(host: Host, home: Home) -> None:
    """The entry in their folder is another file then; the one outside has its content and its owner."""
    home.target.unlink()
    home.target.hardlink_to(home.victim)
    issued = host.offer_new()
    assert host.run().code == 0
    assert home.target.read_bytes() == issued.fullchain_pem
    home.assert_untouched()


@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_what_is_no_file_stays(host: Host, home: Home, kind: str) -> None:
    """It is neither waited for nor replaced."""
    home.target.unlink()
    if kind == "folder":
        home.target.mkdir()
    else:
        os.mknod(home.target, (stat.S_IFIFO if kind == "fifo" else stat.S_IFCHR) | 0o600, os.makedev(1, 3))
    before = home.target.lstat()
    host.offer_new()
    done = host.run()
    assert (done.code, f"{home.target} is not a regular file" in done.err) == (1, True)
    assert home.target.lstat() == before


def test_a_folder_that_is_exchanged_in_between(tmp_path: Path) -> None:
    """What was found first is what is read, replaced and restored, until the turn ends; then the link is told."""
    home, files = Home(tmp_path), LocalFiles()
    old = files.read(home.target)
    assert old is not None
    real = files.locate(home.target)
    home.link(home.tls, home.outside)
    theirs = home.folder / "aside" / home.target.name
    files.replace({real: LiveFile(b"new", 0o600, THEM, THEIR_GROUP)})
    assert (theirs.read_bytes(), files.digest(home.target)) == (b"new", LiveFile(b"new", 0).digest)
    files.restore({real: old})
    assert theirs.read_bytes() == b"old"
    files.restore({real: None})
    assert not theirs.exists()
    files.release()
    with pytest.raises(FileError, match="is not followed"):
        files.read(home.target)
    home.assert_untouched()


@contextmanager
def exchanging(home: Home) -> Iterator[None]:
    """In a loop their folder is a link to the outside, and a folder again; the file in it is a link, and a file."""
    over = threading.Event()
    link, file = home.folder / "link", home.tls / "link"
    for one, to in ((link, home.outside), (file, home.victim)):
        one.symlink_to(to)
        os.chown(one, THEM, THEIR_GROUP, follow_symlinks=False)

    def exchange() -> None:
        aside = home.folder / "aside"
        while not over.is_set():
            with suppress(FileNotFoundError):  # what we replace is another file than theirs
                os.rename(home.target, home.tls / "kept")
                os.rename(file, home.target)
                os.rename(home.target, file)
                os.rename(home.tls / "kept", home.target)
            os.rename(home.tls, aside)
            os.rename(link, home.tls)
            os.rename(home.tls, link)
            os.rename(aside, home.tls)

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_folder_that_is_exchanged_all_the_time(tmp_path: Path) -> None:
    """A hundred turns beside somebody who swaps folder and file for links: some fail, none reaches the outside."""
    home, done, failed = Home(tmp_path), 0, 0
    with exchanging(home):
        while done < 100 or failed < 20:
            files = LocalFiles()
            try:
                real = files.locate(home.target)
                old = files.read(real)
                files.replace({real: LiveFile(b"new", 0o600, THEM, THEIR_GROUP)})
                files.restore({real: old})
                done += 1
            except FileError:
                failed += 1
            finally:
                files.release()
    home.assert_untouched()


def test_an_interrupted_install_finds_a_link_in_place_of_the_folder(host: Host, home: Home) -> None:
    """The next run walks again: it puts nothing back through the link, says so, and does once the folder is there."""
    host.offer_new()
    die(host, ("agent.journey.install", "swap", 1, "after"))
    home.link(home.tls, home.outside)
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "broken")
    assert "ROLL BACK FAILED" in done.err
    assert "is not followed" in done.err
    home.assert_untouched()
    home.tls.unlink()
    (home.folder / "aside").rename(home.tls)
    assert host.run().code == 0


def test_an_interrupted_install_finds_a_link_in_place_of_the_file(host: Host, home: Home) -> None:
    """The old file takes the place of the link."""
    host.offer_new()
    die(host, ("agent.journey.install", "swap", 1, "after"))
    home.link(home.target, home.victim)
    host.run()
    assert (home.target.is_symlink(), home.target.stat().st_uid) == (False, THEM)
    home.assert_untouched()


def test_the_programs_of_root_are_no_target(host: Host) -> None:
    """The virtual environment that the agent runs from."""
    target = Path(sys.prefix) / f"{host.folder.parent.name}.pem"
    host.configure(files=f'[certificate.files]\nfullchain = "{target}"')
    host.offer_new()
    done = host.run()
    assert "must not be overwritten; no live file was touched" in done.err
    assert not target.exists()
