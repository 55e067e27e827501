"""`check` on webroots of another machine: pins, key, login and the right to write, on a real sshd."""

import os
import socket
from collections.abc import Sequence
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
    """The one thing that `check` says of a row whose webroot is *folder* over SFTP."""
    [found] = findings(box, remote, remote.sshd.url(folder), **webroot)
    assert os.listdir(folder) == []
    return found


def findings(
    box: Box, remote: Remote, path: str, *, names: Sequence[str] = (NAME,), **webroot: str
) -> list[dict[str, Any]]:
    """Everything that `check` says of a row with that webroot_path."""
    box.document["webroot"] = remote.settings | webroot
    assert box.bind is not None
    box.write(dns={"resolvers": [box.bind.endpoint]})
    box.ok("populate", NAME, "--csr", "-", "--webroot", remote.sshd.url(remote.sshd.folder), stdin=csr([NAME]))
    # an old script writes what `populate` would refuse
    pem = csr(names).decode()
    box.database.execute(f"UPDATE certs SET csr = '{pem}', webroot_path = '{path}' WHERE name = '{NAME}'")  # noqa: S608
    box.ok("adopt", NAME, "--yes")
    outcome = box.run("check", "--json", NAME)
    document = outcome.report()
    about_it = [item for item in document["findings"] if item["subject"] == NAME]
    found = [item for item in about_it if not item["finding"].startswith(("CSR for", "CAA", "md5_modulus"))]
    assert (outcome.code == 0) is document["well"] is all(item["level"] == "ok" for item in found), document
    return found


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


def said(found: list[dict[str, Any]], *starts: str) -> None:
    """Just these sentences, in this order, each with something to do."""
    assert [item["finding"][: len(start)] for item, start in zip(found, starts, strict=True)] == [*starts]
    assert all(item["level"] == "bad" and item["what_to_do"] for item in found)


def test_files_that_will_not_do_and_a_host_that_is_down(box: Box, remote: Remote, folder: Path) -> None:
    """Each line of the pinned keys, our own key, and that nobody listens: four findings of one visit."""
    remote.pin("www.example.test", remote.sshd.host_key_line(), "* ssh-rsa AAAA")
    remote.sshd.key.chmod(0o644)
    remote.sshd.stop()
    said(
        findings(box, remote, remote.sshd.url(folder)),
        f"{remote.host_keys}: line 1: is not of the form",
        f"{remote.host_keys}: line 3: has a pattern for hosts",
        f"{remote.sshd.key}: holds a secret but its mode is 0644",
        f"[127.0.0.1]:{remote.sshd.port} cannot be reached: Connection refused",
    )


def test_a_key_that_is_missing_and_a_host_that_is_not_pinned(box: Box, remote: Remote, folder: Path) -> None:
    """Without our key the host is still asked for its own; nobody logs in."""
    remote.pin("# nobody")
    said(
        findings(box, remote, remote.sshd.url(folder), ssh_key_file="/nowhere/key"),
        "/nowhere/key: cannot be read",
        f"the SSH host key of [127.0.0.1]:{remote.sshd.port} is not pinned: it shows ssh-ed25519 SHA256:",
    )
    assert remote.sshd.logins() == 0


def test_settings_that_are_missing(box: Box, remote: Remote, folder: Path) -> None:
    """Both, and nothing about a host that answers."""
    found = findings(box, remote, remote.sshd.url(folder), ssh_key_file="", ssh_host_keys="")
    said(found, "configuration: webroot.ssh_host_keys: is missing", "configuration: webroot.ssh_key_file: is missing")


@pytest.mark.parametrize(
    ("path", "finding"),
    [
        ("", "the webroot /nowhere/html on 127.0.0.1 does not exist: "),
        ("html", f"{NAME} cannot be validated through a webroot: webroot_path 'html' must be an absolute path"),
    ],
)
def test_names_that_no_file_can_prove(box: Box, remote: Remote, path: str, finding: str) -> None:
    """Every wildcard of the CSR, and beside them a webroot that is not there or is none."""
    said(
        findings(
            box,
            remote,
            path or remote.sshd.url(Path("/nowhere/html")),
            names=[NAME, "*.example.org", "*.example.net"],
        ),
        "*.example.org cannot be validated through a webroot: *.example.org is a wildcard",
        "*.example.net cannot be validated through a webroot: *.example.net is a wildcard",
        finding,
    )


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
