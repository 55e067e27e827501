"""The state folder comes back from a backup that was made in the middle of an install."""

import shutil

import pytest

from tests.agent.host import Host
from tests.agent.killed import Step
from tests.agent.test_install_killed import die
from tests.servers.nginx import Nginx


@pytest.mark.soak
@pytest.mark.parametrize(
    ("step", "away"),
    [
        (("agent.journey.install", "swap", 1, "after"), True),
        (("agent.journey.install", "roll_back", 1, "before"), False),
    ],
    ids=["swapped", "going-back"],
)
def test_newer_files_stay(host: Host, nginx: Nginx, step: Step, *, away: bool) -> None:
    """The files before that install are older than those in place by now: nothing is put back, also where the source is
    away and could not mend it."""
    host.offer_new()
    assert host.run().code == 0
    if step[1] == "roll_back":
        host.served_by(nginx, activate=["true"], probe_timeout="1s")
    host.offer_new()
    die(host, step)
    backup = shutil.copytree(host.state_dir, host.folder / "backup")
    host.served_by(nginx)
    host.offer_new()
    assert host.run("--retry").code == 0
    newest, inode = nginx.served(), host.fullchain.stat().st_ino
    shutil.rmtree(host.state_dir)
    shutil.copytree(backup, host.state_dir)
    if away:
        host.database.rename(host.folder / "away.db")
    done = host.run()
    assert done.certificate["state"] == ("unreachable" if away else "installed"), done.out
    assert (nginx.served(), host.fullchain.stat().st_ino) == (newest, inode)
    assert host.leftovers() == []
