"""Files that are never half written, too open, or written by two processes at once."""

import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import ConfigError, FileError, LockedError
from common.files import create_new, locked, make_private_folder, read_secret, write_atomic

ROOT = Path(__file__).parents[2]


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    """A reader that looks all the time sees the old content or the new one, whole; nothing else stays in the folder."""
    file = tmp_path / "file"
    contents = [bytes([65 + number]) * 200_000 for number in range(2)]
    write_atomic(file, contents[0], mode=0o640)
    seen, done = set(), threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.add(file.read_bytes())

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(40):
        write_atomic(file, contents[number % 2], mode=0o640)
    done.set()
    reader.join()
    assert seen <= set(contents)
    assert mode(file) == 0o640
    assert os.listdir(tmp_path) == ["file"]


def test_the_mode_is_the_final_one_whatever_the_umask(tmp_path: Path) -> None:
    """Neither a strict nor a lax umask changes what was asked for."""
    for umask in (0o000, 0o077):
        before = os.umask(umask)
        try:
            write_atomic(tmp_path / "a", b"", mode=0o644)
            create_new(tmp_path / f"b{umask}", b"", mode=0o600)
        finally:
            os.umask(before)
        assert (mode(tmp_path / "a"), mode(tmp_path / f"b{umask}")) == (0o644, 0o600)


def test_a_full_disk_leaves_the_old_content(tmp_path: Path) -> None:
    """When the new content cannot be written the old file is as it was, and no temporary is left."""
    script = (
        "import sys; from pathlib import Path\n"
        "from common.files import write_atomic; from common.errors import FileError\n"
        "place = Path(sys.argv[1]); file = place / 'file'; write_atomic(file, b'old')\n"
        "try:\n    write_atomic(file, b'x' * 500_000)\n"
        "except FileError as error:\n    print(error, '|', error.hint)\n"
        "print(file.read_bytes(), [each.name for each in place.iterdir()])"
    )
    done = subprocess.run(
        [
            *("unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c"),
            'mount -t tmpfs -o size=100k tmpfs "$1" && exec "$2" -c "$3" "$1"',
            *("sh", str(tmp_path), sys.executable, script),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said, left = done.stdout.splitlines()
    assert "No space left on device" in said
    assert "free space" in said
    assert left == "b'old' ['file']"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """The file, the reason and what to do."""
    writes: list[Callable[[Path], None]] = [
        lambda file: write_atomic(file, b""),
        lambda file: create_new(file, b"", mode=0o600),
    ]
    for write in writes:
        with pytest.raises(FileError, match=r"cannot write .*absent/file: No such file") as caught:
            write(tmp_path / "absent" / "file")
        assert caught.value.hint == "create the folder first"


def test_a_new_file_never_replaces_nor_follows(tmp_path: Path) -> None:
    """An existing file and a link, even a dangling one, are left alone."""
    file, link = tmp_path / "file", tmp_path / "link"
    create_new(file, b"first", mode=0o600)
    link.symlink_to(tmp_path / "elsewhere")
    for target in (file, link):
        with pytest.raises(FileError, match="exists already"):
            create_new(target, b"second", mode=0o600)
    assert file.read_bytes() == b"first"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("bits", [0o600, 0o400, 0o640, 0o440])
def test_secrets_that_are_closed(tmp_path: Path, bits: int) -> None:
    """The owner's, and readable for a group at the most."""
    file = tmp_path / "secret"
    create_new(file, b"secret", mode=bits)
    assert read_secret(file) == b"secret"


@pytest.mark.parametrize("bits", [0o644, 0o604, 0o660, 0o622, 0o641, 0o666])
def test_secrets_that_are_open(tmp_path: Path, bits: int) -> None:
    """Refused with the mode and the chmod that mends it, never with the content."""
    file = tmp_path / "secret"
    create_new(file, b"hunter2", mode=bits)
    with pytest.raises(ConfigError, match=f"its mode is {bits:04o}") as caught:
        read_secret(file)
    assert f"chmod 0600 {file}" in caught.value.hint
    assert "hunter2" not in str(caught.value)


def test_secrets_that_cannot_be_read(tmp_path: Path) -> None:
    """Absent, a folder, a device: each with its path."""
    for file, says in (
        (tmp_path / "absent", "cannot be read .No such file"),
        (tmp_path, "not a regular file|cannot be read"),
        (Path("/dev/null"), "not a regular file"),
    ):
        with pytest.raises(ConfigError, match=says):
            read_secret(file)


def test_a_lock_is_exclusive_and_ends_with_its_process(tmp_path: Path) -> None:
    """A second holder is told who holds it; kill -9 of the holder frees it."""
    file = tmp_path / "lock"
    script = (
        "import sys, time; from pathlib import Path; from common.files import locked\n"
        "with locked(Path(sys.argv[1]), doing='the test'):\n    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(file)], cwd=ROOT, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            with pytest.raises(LockedError, match=f"process {holder.pid}: the test"), locked(file, doing="second"):
                pass
        finally:
            holder.kill()
        holder.wait()
    with locked(file, doing="third"):
        assert file.read_text(encoding="utf-8") == f"process {os.getpid()}: third\n"
        with pytest.raises(LockedError), locked(file, doing="fourth"):
            pass
    assert mode(file) == 0o600


def test_a_lock_on_a_file_that_holds_something(tmp_path: Path) -> None:
    """What it begins with stays; the holder stands below, whoever held it before."""
    file = tmp_path / "name"
    file.write_bytes(b"name")
    for doing in ("a long errand", "short"):
        with locked(file, doing=doing, skip=4):
            with (
                pytest.raises(LockedError, match=rf"\(process {os.getpid()}: {doing}\)"),
                locked(file, doing="", skip=4),
            ):
                pass
            assert file.read_text(encoding="utf-8") == f"name\nprocess {os.getpid()}: {doing}\n"


def test_a_lock_that_cannot_be_written(tmp_path: Path) -> None:
    """A disk that takes nothing more is told as such, and the lock is free again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(FileError, match="cannot write"), locked(tmp_path / "lock", doing="first"):
            pytest.fail("it was not written")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with locked(tmp_path / "lock", doing="second"):
        pass


def test_private_folders(tmp_path: Path) -> None:
    """Made closed, with parents that nobody else may write into, whatever the umask; left alone when it exists."""
    folder = tmp_path / "a" / "b" / "c"
    before = os.umask(0o000)
    try:
        make_private_folder(folder)
    finally:
        os.umask(before)
    assert [mode(each) for each in (folder, folder.parent, folder.parent.parent)] == [0o700, 0o755, 0o755]
    folder.chmod(0o755)
    make_private_folder(folder)
    assert mode(folder) == 0o755
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="cannot create the folder"):
        make_private_folder(tmp_path / "file" / "below")
