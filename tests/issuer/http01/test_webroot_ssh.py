"""Logging in to web servers: only to the host that is pinned, only with our key, and never for ever."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.errors import CertfleetError, ConfigError, Retry
from common.ssh_limits import SshLimits
from issuer.model.errors import WebrootError
from issuer.webroot.webroots import Webroots
from tests.issuer.http01.conftest import MACHINE, NAME, TOKEN, Remote, entry, row, settings
from tests.servers.process import wait_until
from tests.servers.sshd import Sshd, new_key

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(remote: Remote, folder: Path) -> str:
    return remote.sshd.url(folder)


def webroots(tmp_path: Path, remote: Remote, **changes: Any) -> Webroots:
    return Webroots(settings(tmp_path / "state", **(remote.settings | changes)), MACHINE)


def refusal(solver: Webroots, path: str, folder: Path) -> CertfleetError:
    """Placing and publishing are both refused, and nothing is written."""
    with pytest.raises(CertfleetError) as caught:
        solver.publish([entry(path)])
    with pytest.raises(CertfleetError) as caught:
        solver.place(NAME, row(path))
    assert os.listdir(folder) == []
    assert caught.value.hint or isinstance(caught.value, ConfigError)
    return caught.value


def test_an_unknown_host_is_refused(remote: Remote, path: str, folder: Path, tmp_path: Path) -> None:
    """Nobody is trusted on first use: the fingerprint that was seen is told, nothing is written, no login is tried."""
    remote.pin("# nobody")
    error = refusal(webroots(tmp_path, remote), path, folder)
    assert error.reference == "webroot-host-key"
    assert "is not pinned" in str(error)
    assert remote.sshd.fingerprint() in str(error)
    assert str(remote.host_keys) in error.hint
    assert remote.sshd.logins() == 0
    assert remote.host_keys.read_text(encoding="ascii") == "# nobody\n"


def test_a_changed_host_key_is_refused(remote: Remote, path: str, folder: Path, tmp_path: Path) -> None:
    """A host with another key than the pinned one may be somebody in between: both fingerprints are told."""
    old = remote.sshd.fingerprint()
    remote.sshd.stop()
    remote.sshd.new_host_key()
    remote.sshd.start()
    error = refusal(webroots(tmp_path, remote), path, folder)
    assert "is not the pinned one" in str(error)
    assert old in str(error)
    assert remote.sshd.fingerprint() in str(error)
    assert remote.sshd.logins() == 0


def test_a_revoked_host_key_is_refused(remote: Remote, path: str, folder: Path, tmp_path: Path) -> None:
    """A key that is pinned and revoked is not pinned."""
    line = remote.sshd.host_key_line()
    remote.pin(line, f"@revoked {line}")
    assert "is not pinned" in str(refusal(webroots(tmp_path, remote), path, folder))


@pytest.mark.sampled
@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_any_one_host_key_may_be_pinned(folder: Path, tmp_path: Path, kind: str) -> None:
    """A server with several host keys shows the one that is pinned."""
    with Sshd(tmp_path / "several", host_keys=("rsa", "ecdsa", "ed25519")) as sshd:
        remote = Remote(sshd, tmp_path / "pins")
        remote.pin(sshd.host_key_line(kind))
        webroots(tmp_path, remote).place(NAME, row(sshd.url(folder)))
        assert sshd.logins() == 1


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_login_with_other_kinds_of_keys(remote: Remote, path: str, folder: Path, tmp_path: Path, kind: str) -> None:
    """RSA and ECDSA keys log in too."""
    key = new_key(remote.sshd.folder / "another", kind)
    (remote.sshd.folder / "authorized_keys").write_bytes(key.with_name("another.pub").read_bytes())
    assert webroots(tmp_path, remote, ssh_key_file=str(key)).place(NAME, row(path)) == (NAME, path)


def test_a_key_that_may_not_log_in(remote: Remote, path: str, folder: Path, tmp_path: Path) -> None:
    """The key is named by its fingerprint, and where it has to be added."""
    other = new_key(tmp_path / "other")
    error = refusal(webroots(tmp_path, remote, ssh_key_file=str(other)), path, folder)
    assert error.reference == "webroot-login"
    assert "SHA256:" in str(error)
    assert "authorized_keys" in error.hint


def test_no_agent_and_no_key_of_the_user(
    remote: Remote, path: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the configured key is offered, whatever lies in the home of whoever runs certfleet."""
    home = tmp_path / "home" / ".ssh"
    home.mkdir(parents=True)
    shutil.copy(remote.sshd.key, home / "id_ed25519")
    monkeypatch.setenv("HOME", str(home.parent))
    refusal(webroots(tmp_path, remote, ssh_key_file=str(new_key(tmp_path / "other"))), path, folder)


@pytest.mark.parametrize(
    ("problem", "says"),
    [
        ("open", "0644"),
        ("passphrase", "passphrase"),
        ("garbage", "no private key that is understood"),
        ("missing", "cannot be read"),
    ],
)
def test_a_key_file_that_will_not_do(remote: Remote, folder: Path, tmp_path: Path, problem: str, says: str) -> None:
    """Readable by all, locked, garbage, or not there: said before anything is connected; no content is shown."""
    key = new_key(tmp_path / "bad", passphrase="secret" if problem == "passphrase" else "")
    if problem == "open":
        key.chmod(0o644)
    elif problem == "garbage":
        key.write_text("not-a-key-but-s3cret", encoding="ascii")
    elif problem == "missing":
        key.unlink()
    error = refusal(webroots(tmp_path, remote, ssh_key_file=str(key)), remote.sshd.url(folder), folder)
    assert says in str(error)
    assert "s3cret" not in str(error) + error.hint
    assert ("ssh-keygen" in error.hint) is (problem != "open")


@pytest.mark.parametrize("missing", ["ssh_key_file", "ssh_host_keys"])
def test_settings_that_are_missing(remote: Remote, path: str, folder: Path, tmp_path: Path, missing: str) -> None:
    """A row with sftp:// needs both files: the key that is missing is named."""
    error = refusal(webroots(tmp_path, remote, **{missing: ""}), path, folder)
    assert isinstance(error, ConfigError)
    assert f"webroot.{missing}" in str(error)


def test_a_host_that_is_down(remote: Remote, path: str, folder: Path, tmp_path: Path) -> None:
    """Nobody listens: trouble that may pass, so the order waits for the host."""
    remote.sshd.stop()
    error = refusal(webroots(tmp_path, remote), path, folder)
    assert isinstance(error, WebrootError)
    assert error.retry is Retry.SOON
    assert "cannot be reached" in str(error)


def test_a_host_that_says_nothing(remote: Remote, folder: Path, tmp_path: Path) -> None:
    """A host that accepts and then is silent costs a time limit, and costs it once."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        remote.pin(remote.sshd.host_key_line().replace(str(remote.sshd.port), str(port)))
        solver = Webroots(settings(tmp_path, **remote.settings), MACHINE, SshLimits(handshake=0.5))
        begin = time.monotonic()
        error = refusal(solver, f"sftp://www@127.0.0.1:{port}{folder}", folder)
        assert time.monotonic() - begin < 9
    assert error.retry is Retry.SOON


def test_a_host_whose_files_hang(folder: Path, tmp_path: Path) -> None:
    """As with a disk that does not answer: those who wait for the same host meanwhile do not wait for it again."""
    script = tmp_path / "hangs.py"
    script.write_text(
        "import struct, sys\n"
        "sys.stdout.buffer.write(struct.pack('>IBI', 5, 2, 3))\n"
        "sys.stdout.flush()\n"
        "sys.stdin.buffer.read()\n"
    )
    with Sshd(tmp_path / "sshd", sftp=f"{sys.executable} {script}") as sshd:
        remote = Remote(sshd, tmp_path / "ssh_host_keys")
        remote.pin(sshd.host_key_line())
        solver = Webroots(settings(tmp_path, **remote.settings), MACHINE, SshLimits(action=0.5, pause=60))
        for _ in range(3):
            assert isinstance(refusal(solver, sshd.url(folder), folder), WebrootError)
        assert sshd.logins() == 1


GARBAGE = """
import struct, sys
def take(): return sys.stdin.buffer.read(struct.unpack(">I", sys.stdin.buffer.read(4))[0])
def give(packet): sys.stdout.buffer.write(struct.pack(">I", len(packet)) + packet); sys.stdout.buffer.flush()
{version}
while True:
    request = take()
    give({answer})
"""
ANSWERS = {
    "another kind of answer": "bytes([104]) + request[1:5] + struct.pack('>I', 0)",
    "an unknown kind": "bytes([250]) + request[1:5]",
    "words that are no text": "bytes([101]) + request[1:5] + struct.pack('>II', 4, 2) + bytes([255, 254])",
}


@pytest.mark.parametrize("what", ["another version", *ANSWERS])
def test_a_host_that_answers_garbage(folder: Path, tmp_path: Path, what: str) -> None:
    """What speaks no SFTP behind a right login is trouble of the host that may pass, in whichever step."""
    script = tmp_path / "garbage.py"
    version = "take(); give(bytes([2]) + struct.pack('>I', 3))" if what in ANSWERS else "take(); give(bytes([77]))"
    answer = ANSWERS.get(what, "b''")
    script.write_text(GARBAGE.format(version=version, answer=answer), encoding="ascii")
    with Sshd(tmp_path / "sshd", sftp=f"{sys.executable} {script}") as sshd:
        remote = Remote(sshd, tmp_path / "ssh_host_keys")
        remote.pin(sshd.host_key_line())
        solver = webroots(tmp_path, remote)
        for step in (solver.publish, solver.withdraw):
            with pytest.raises(WebrootError) as caught:
                step([entry(sshd.url(folder))])
            assert caught.value.hint


def test_one_login_for_many(remote: Remote, path: str, folder: Path, tmp_path: Path) -> None:
    """A connection is used again; when it was cut meanwhile, a new one is made and nobody notices."""
    solver = webroots(tmp_path, remote)
    solver.place(NAME, row(path))
    solver.publish([entry(path)])
    assert remote.sshd.logins() == 1
    remote.sshd.end_sessions()
    solver.withdraw([entry(path)])
    assert remote.sshd.logins() == 2
    assert os.listdir(folder) == []


def test_an_idle_connection_is_given_up(remote: Remote, path: str, tmp_path: Path) -> None:
    """A run that waits for hours holds no session at the web servers."""
    solver = Webroots(settings(tmp_path, **remote.settings), MACHINE, SshLimits(idle=0.2))
    solver.place(NAME, row(path))
    wait_until(lambda: remote.sshd._sessions() == [], "no session is held")
    solver.publish([entry(path)])
    solver.withdraw([entry(path)])


@pytest.fixture
def site_owner(tmp_path: Path) -> Iterator[tuple[Remote, Path]]:
    """An sshd of the web site's owner, who may reach nothing else and whose files are closed to others by default."""
    with tempfile.TemporaryDirectory(prefix="certfleet-") as name:
        home = Path(name)
        home.chmod(0o755)
        html = home / "html"
        html.mkdir(mode=0o755)
        shutil.chown(html, "www-data", "www-data")
        with Sshd(home / "sshd", umask="077", user="www-data") as sshd:
            remote = Remote(sshd, tmp_path / "pins")
            remote.pin(sshd.host_key_line())
            yield remote, html


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a server as somebody else")
def test_login_as_the_owner_of_the_site(site_owner: tuple[Remote, Path], tmp_path: Path) -> None:
    """Without root everything belongs to the site's owner and is readable for the web server, whatever the umask."""
    remote, html = site_owner
    solver = webroots(tmp_path, remote)
    path = remote.sshd.url(html)
    solver.publish([entry(path)])
    file = html / ".well-known" / "acme-challenge" / TOKEN
    assert [oct(made.stat().st_mode & 0o777) for made in (file, file.parent)] == ["0o644", "0o755"]
    assert (file.owner(), file.parent.owner()) == ("www-data", "www-data")
    solver.withdraw([entry(path)])
    assert os.listdir(html) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="it is about root")
def test_root_with_a_strict_umask_is_told(folder: Path, tmp_path: Path) -> None:
    """Folders that the web server could not enter are not left behind; the person learns what to do."""
    with Sshd(tmp_path / "strict", umask="077") as sshd:
        remote = Remote(sshd, tmp_path / "pins")
        remote.pin(sshd.host_key_line())
        with pytest.raises(WebrootError, match="closed to the web server") as caught:
            webroots(tmp_path, remote).publish([entry(sshd.url(folder))])
        assert "owner of the web site" in caught.value.hint
        assert os.listdir(folder) == []


@pytest.mark.soak
def test_paramiko_is_imported_only_when_needed(tmp_path: Path, folder: Path) -> None:
    """A local webroot costs nothing of SSH."""
    code = (
        "import sys; from tests.issuer.http01.conftest import *; from pathlib import Path;"
        f"solver = Webroots(settings(Path({str(tmp_path)!r})), MACHINE);"
        f"solver.place(NAME, row({str(folder)!r})); solver.publish([entry({str(folder)!r})]);"
        "sys.exit('paramiko' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, timeout=60, check=True)
