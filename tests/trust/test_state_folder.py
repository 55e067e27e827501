"""Somebody to whom the state folder of a root's agent belongs: the journal of an install leads root to files."""

import json
import os
from pathlib import Path

import pytest

from agent.cli import build
from agent.model.live_file import digest
from agent.rules.install_states import InstallState
from agent.rules.journal import JournalEntry, Part, SavedFile
from tests.agent.host import NAME, Host
from tests.trust.thief import Thief

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders to others")

HIM = 5  # games, on every Debian


def test_a_state_folder_below_another_users(host: Host, open_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`init` would give it to him, and each run refuse it: it is refused before anything is written."""
    os.chown(open_folder, HIM, HIM)
    config = host.folder / "new" / "agent.toml"
    words = ["--state-dir", str(open_folder / "state"), "--source", f"sqlite:///{host.database}"]
    assert build().run(["--config", str(config), "init", *words]) == 1
    assert f"games, to whom {open_folder} belongs, could make root write any file by" in capsys.readouterr().err
    assert not config.exists()
    assert list(open_folder.iterdir()) == []


def test_a_state_folder_below_a_file(host: Host) -> None:
    """A sentence, as for any other wrong path; no fault of ours."""
    host.configure()
    (host.folder / "file").touch()
    host.config.write_text(host.config.read_text().replace(str(host.state_dir), str(host.folder / "file" / "state")))
    done = host.run()
    assert done.code == 1
    assert "a fault in certfleet itself" not in done.err
    assert str(host.folder / "file" / "state") in done.err


def test_the_owner_of_a_state_folder(host: Host, tmp_path: Path) -> None:
    """A journal of his, of an install that was never begun, is not followed: the folder is refused."""
    thief, target = Thief("The owner of the state folder of a host"), tmp_path / "of_root"
    host.configure()
    host.offer_new()
    assert host.run().code == 0
    target.write_bytes(b"of root alone")
    backup = host.state_dir / "work" / "his" / "old"
    backup.parent.mkdir()
    backup.write_bytes(b"his")
    saved = SavedFile(target, digest(b"of root alone"), str(backup), digest(b"his"), 0o644, HIM, HIM)
    entry = JournalEntry(NAME, InstallState.ACTIVATING, (Part(NAME, "0" * 64, (saved,), ()),))
    (host.state_dir / "journal" / f"{NAME}.json").write_text(json.dumps(entry.document()))
    os.chown(host.state_dir, HIM, HIM)
    refused = host.run()
    thief.tries(
        "a file where he may not write, by a journal of an install that never was", got=target.stat().st_uid == HIM
    )
    assert refused.code == 2
    assert f"games, to whom {host.state_dir} belongs, can make root write any file by {host.state_dir}" in refused.err
    host.run("--obey-owner")
    assert target.read_bytes() == b"his"
    thief.is_told()
