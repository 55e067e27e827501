"""The install journey on a real nginx."""

import os
from pathlib import Path

from tests.agent.host import NAME, Host, sha256
from tests.servers.nginx import Nginx


def children(nginx: Nginx) -> str:
    pid = (nginx.folder / "pid").read_text(encoding="ascii").strip()
    return Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")


def stamps(*folders: Path) -> dict[Path, tuple[int, int]]:
    """Inode and time of change of everything in *folders*."""
    entries = [entry for folder in folders for entry in [folder, *folder.rglob("*")]]
    told = [entry for entry in entries if entry.name not in ("lock", "ran")]
    return {entry: (entry.stat().st_ino, entry.stat().st_mtime_ns) for entry in told}


def test_a_new_certificate_is_installed_and_proven(host: Host, nginx: Nginx) -> None:
    """First certificate: installed, served, reported, and nothing left lying about."""
    issued = host.offer_new()
    done = host.run()
    assert done.code == 0, done.err
    assert nginx.served() == issued.certificate
    assert (done.certificate["state"], done.certificate["proven"], done.certificate["changed"]) == (
        "installed",
        True,
        True,
    )
    assert host.fullchain.read_bytes() == issued.fullchain_pem
    assert host.leftovers() == []
    told = host.reported()
    assert (told["name"], told["state"], told["sha256"]) == (NAME, "installed", sha256(issued.certificate))
    assert told["host"] == os.uname().nodename


def test_a_renewal_replaces_the_old_one(host: Host, nginx: Nginx) -> None:
    """A newer certificate takes the place of the first."""
    host.offer_new()
    assert host.run().code == 0
    renewed = host.offer_new()
    done = host.run()
    assert done.code == 0, done.err
    assert nginx.served() == renewed.certificate


def test_the_same_again_writes_nothing_and_reloads_nothing(host: Host, nginx: Nginx) -> None:
    """One cheap question, no write to disk or database, no reload: the workers are the same."""
    host.offer_new()
    assert host.run().code == 0
    before = (stamps(host.live, host.state_dir), host.reported(), children(nginx), host.database.stat().st_mtime_ns)
    done = host.run()
    assert done.code == 0, done.err
    assert done.certificate["changed"] is False
    assert (
        stamps(host.live, host.state_dir),
        host.reported(),
        children(nginx),
        host.database.stat().st_mtime_ns,
    ) == before
