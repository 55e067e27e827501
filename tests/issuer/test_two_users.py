"""Root types a command in an installation that belongs to another user: what it makes is that user's, who goes on."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.database import SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.process import wait_until

NAME = "www.example.test"
THEM, GROUP = 65534, 65534  # nobody and nogroup, which every Debian has

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


def give(file: Path) -> Path:
    os.chown(file, THEM, GROUP)
    return file


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of theirs that they can come to: pytest keeps its own to root."""
    with TemporaryDirectory() as folder:
        yield give(Path(folder))


@pytest.fixture
def their_box(place: Path, lab: Lab) -> Box:
    """An installation that nothing was done with yet, in a folder of theirs."""
    (place / "data").mkdir()
    box = Box(place / "box", SqliteDatabase(give(place / "data")), bind=lab.bind, pebble=lab.pebble)
    key = shutil.copy(box.document["dns"]["tsig_key_file"], place / "acme.key")
    ca_file = shutil.copy(lab.pebble.ca_file, place / "ca.pem")
    box.write(dns={"tsig_key_file": str(give(Path(key)))}, acme={"ca_bundle": str(ca_file)})
    Path(ca_file).chmod(0o644)
    box.folder.chmod(0o700)
    give(give(box.config).parent)
    return box


def as_them(box: Box, *words: str) -> str:
    child = box.start_anew(*words, user=THEM)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, out + err
    return out


def foreign(box: Box) -> list[str]:
    """What lies in the installation and is not theirs."""
    found = [*box.folder.rglob("*"), *Path(box.database.path).parent.rglob("*")]  # type: ignore[attr-defined]
    assert {"account.pem", "certfleet.db", "csr"} <= {file.name for file in found}
    return [str(file) for file in found if (file.stat().st_uid, file.stat().st_gid) != (THEM, GROUP)]


@pytest.mark.soak
def test_they_go_on_with_what_root_began(their_box: Box) -> None:
    """`init`, `db upgrade`, `populate` and `issue` as root, the daily `run` and `reissue` as them."""
    their_box.set_up()
    their_box.enrol(NAME)
    their_box.ok("issue", NAME)
    assert {"issuer.id", "accounts.json"} <= set(os.listdir(their_box.state_dir))
    assert foreign(their_box) == []
    as_them(their_box, "run")
    assert f"{NAME}: stored" in as_them(their_box, "reissue", NAME)
    their_box.ok("reissue", NAME)
    assert foreign(their_box) == []


def beside(box: Box) -> tuple[Path, Path]:
    """What SQLite keeps beside the database, in the order in which it makes them."""
    path = box.database.path  # type: ignore[attr-defined]
    return Path(f"{path}-wal"), Path(f"{path}-shm")


def test_files_beside_an_open_database_are_theirs(their_box: Box) -> None:
    """SQLite's own -wal and -shm, while a command of root is at work. SQLite makes each and gives it away then, so that
    it is waited for until both are there and given away."""
    their_box.set_up()
    process = their_box.start("daemon")

    def theirs() -> bool:
        return all(file.exists() and file.stat().st_uid == THEM for file in beside(their_box))

    try:
        wait_until(theirs, "the daemon has opened the database, and gave away what SQLite made")
        wait_until(lambda: foreign(their_box) == [], "all else is theirs")
        as_them(their_box, "status")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.sampled
@pytest.mark.parametrize("which", [0, 1], ids=["wal", "shm"])
def test_a_file_of_root_beside_the_database(their_box: Box, which: int) -> None:
    """Another user is told whose file is in the way, and how to give it back."""
    their_box.set_up()
    file = beside(their_box)[which]
    file.touch(0o600)
    child = their_box.start_anew("status", user=THEM)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 1, err
    assert f"it belongs to root: as root give it back, `chown nobody: {file}`" in err
    give(file)
    as_them(their_box, "status")


@pytest.mark.soak
def test_a_file_of_root_among_theirs(their_box: Box) -> None:
    """What another tool, or a certfleet of before, has left: the hint says whose it is and how to give it back."""
    their_box.set_up()
    file = their_box.state_dir / "issuer.id"
    file.touch(0o600)
    child = their_box.start_anew("run", user=THEM)
    _, err = child.communicate(timeout=60)
    assert (child.returncode, f"cannot use {file}: Permission denied" in err) == (1, True), err
    assert f"it belongs to root: as root give it back, `chown nobody: {file}`" in err


@pytest.mark.soak
def test_a_stranger_is_told_who_may(their_box: Box) -> None:
    """The owner by name, and never root by guess."""
    their_box.set_up()
    their_box.folder.parent.chmod(0o755)
    child = their_box.start_anew("run", user=1)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 2, err
    assert f"run as nobody, to whom {their_box.folder} belongs" in err


def test_a_folder_is_no_configuration(their_box: Box) -> None:
    """It is told to name the file, for the user is not what is wrong."""
    their_box.set_up()
    their_box.refused(
        *("status", "--config", str(their_box.state_dir)), code=2, says=["not a regular file", "name the file"]
    )


@pytest.mark.soak
def test_an_enrolled_name_of_root_is_theirs_to_change(their_box: Box) -> None:
    """A database that root has written last is written by them next."""
    their_box.set_up()
    their_box.ok("populate", NAME, "--csr", "-", stdin=csr([NAME]))
    as_them(their_box, "enable", NAME)
    their_box.ok("disable", NAME)


def test_a_csr_in_a_folder_that_is_closed_to_them(their_box: Box, place: Path) -> None:
    """It is told to be out of their reach, and what to do."""
    their_box.set_up()
    closed = place / "root"
    closed.mkdir(0o700)
    (closed / "www.csr").write_bytes(csr([NAME]))
    child = their_box.start_anew("populate", NAME, "--csr", str(closed / "www.csr"), user=THEM)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 1, err
    assert "cannot be read: Permission denied" in err
    assert "pipe it in with --csr -" in err
