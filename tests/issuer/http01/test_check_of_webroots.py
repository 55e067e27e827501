"""`check` on webroots of another machine: pins, key, login and the right to write, on a real sshd."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from issuer.webroot.webroots import Webroots
from tests.issuer.box import Box
from tests.issuer.http01.conftest import MACHINE, NAME, Remote, row, settings
from tests.issuer.signing_requests import csr
from tests.servers.sshd import Sshd, new_key

TRIAL = f".certfleet-check-{socket.gethostname()}"


def finding(box: Box, remote: Remote, folder: Path, **webroot: str) -> dict[str, Any]:
    """What `check` says of a row whose webroot is *folder* over SFTP."""
    box.document["webroot"] = remote.settings | webroot
    assert box.bind is not None
    box.write(dns={"resolvers": [box.bind.endpoint]})
    box.ok("populate", NAME, "--csr", "-", "--webroot", remote.sshd.url(folder), stdin=csr([NAME]))
    outcome = box.run("check", "--json", NAME)
    document = outcome.report()
    about_it = [item for item in document["findings"] if item["subject"] == NAME]
    [found] = [item for item in about_it if not item["finding"].startswith(("CSR for", "CAA"))]
    assert (outcome.code == 0) is document["well"] is (found["level"] == "ok"), document
    assert os.listdir(folder) == []
    return dict(found)


def test_a_webroot_that_can_be_written(box: Box, remote: Remote, folder: Path) -> None:
    """One login, nothing left."""
    found = finding(box, remote, folder)
    assert found["finding"] == f"challenge files can be put into {remote.sshd.url(folder)}"
    assert remote.sshd.logins() == 1


def test_a_host_that_is_not_pinned(box: Box, remote: Remote, folder: Path) -> None:
    """What it shows, and where the pin belongs."""
    remote.pin("# nobody")
    found = finding(box, remote, folder)
    assert f"is not pinned: it shows ssh-ed25519 {remote.sshd.fingerprint()}" in found["finding"]
    assert str(remote.host_keys) in found["what_to_do"]


def test_a_key_that_others_may_read(box: Box, remote: Remote, folder: Path) -> None:
    """The mode, and the command that mends it."""
    remote.sshd.key.chmod(0o644)
    found = finding(box, remote, folder)
    assert "holds a secret but its mode is 0644" in found["finding"]
    assert found["what_to_do"].startswith("chmod 0600")


def test_a_login_that_is_refused(box: Box, remote: Remote, folder: Path, tmp_path: Path) -> None:
    """The key by its fingerprint, and where its public half belongs."""
    found = finding(box, remote, folder, ssh_key_file=str(new_key(tmp_path / "other")))
    assert (
        f"127.0.0.1 does not let us in as {remote.sshd.user}: it refuses the key ssh-ed25519 SHA256:"
        in found["finding"]
    )
    assert "authorized_keys" in found["what_to_do"]


def test_a_host_that_does_not_answer(box: Box, remote: Remote, folder: Path) -> None:
    """Nobody listens there."""
    remote.sshd.stop()
    found = finding(box, remote, folder)
    assert "cannot be reached: Connection refused" in found["finding"]
    assert "check that the host runs" in found["what_to_do"]


def test_a_folder_that_may_not_be_written(box: Box, folder: Path, tmp_path: Path) -> None:
    """The login works, writing does not: said before an order is opened."""
    with Sshd(tmp_path / "readable", read_only=True) as sshd:
        remote = Remote(sshd, tmp_path / "pins")
        remote.pin(sshd.host_key_line())
        found = finding(box, remote, folder)
    assert found["finding"] == f"certfleet may not write in {folder}: Permission denied"
    assert "log in as the owner of the web site" in found["what_to_do"]


@pytest.mark.parametrize("left", ["file", "link"])
def test_what_a_killed_check_left(remote: Remote, folder: Path, tmp_path: Path, left: str) -> None:
    """Its file goes with the next try; a link that somebody has put there is not followed."""
    victim = tmp_path / "victim"
    victim.write_text("precious", encoding="ascii")
    if left == "file":
        (folder / TRIAL).touch()
    else:
        (folder / TRIAL).symlink_to(victim)
    Webroots(settings(tmp_path / "state", **remote.settings), MACHINE).place(NAME, row(remote.sshd.url(folder)))
    assert os.listdir(folder) == []
    assert victim.read_text(encoding="ascii") == "precious"
