"""An agent that is not root, and commands that act as root for it: they cannot be ended like its own."""

import os
import shutil
import signal
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.agent.host import Host
from tests.servers.process import wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a program that acts as root for others")

THEM = 5  # games, on every Debian
# As sudo does: what it runs has a process group of its own, and gets the signals that sudo gets and can hand on.
HANDS_ON = 'setsid sleep 300 & echo $! >"$0"; trap "kill $!; exit 1" TERM; wait'


@pytest.fixture
def theirs(open_folder: Path) -> Host:
    """A host whose agent and files are of a user who is not root, with a first certificate."""
    host = Host(open_folder / "host")
    host.make_key()
    host.first = host.offer_new()
    host.configure()
    for one in (host.folder, *host.folder.rglob("*")):
        os.chown(one, THEM, THEM)
    assert host.run(user=THEM).code == 0
    return host


def told_by(host: Host, activate: Sequence[str]) -> None:
    """The agent has a second of patience with that command."""
    host.configure(activate=activate)
    host.config.write_text(host.config.read_text().replace('command_timeout = "20s"', 'command_timeout = "1s"'))
    host.offer_new()


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.soak
def test_what_sudo_runs_ends_with_it(theirs: Host) -> None:
    """Nothing is left of a command that was ended, and the old files are back."""
    noted = theirs.folder / "pid"
    told_by(theirs, ["sh", "-c", HANDS_ON, str(noted)])
    done = theirs.run(user=THEM)
    assert (done.code, done.certificate["state"]) == (1, "broken"), done.err
    assert "was ended: it had not ended after 1 s; ROLLED BACK" in done.certificate["detail"]
    wait_until(lambda: is_gone(int(noted.read_text())), "its child ends", seconds=10)
    assert theirs.fullchain.read_bytes() == theirs.first.fullchain_pem


@pytest.mark.soak
def test_one_that_may_not_be_ended(theirs: Host) -> None:
    """It is said that it goes on; the old files are back, and the next run does not stumble over it."""
    become, noted = theirs.folder / "become", theirs.folder / "pid"
    shutil.copy("/usr/bin/setpriv", become)
    become.chmod(0o755 | stat.S_ISUID)
    told_by(theirs, [str(become), "--reuid=0", "sh", "-c", f"echo $$ >>{noted}; exec sleep 300"])
    try:
        done = theirs.run(user=THEM)
        assert (done.code, done.certificate["state"]) == (1, "broken"), done.err
        said = "goes on: it is another user's, or hangs in the kernel: it had not ended after 1 s; "
        assert f"{said}ROLLED BACK" in done.certificate["detail"]
        assert theirs.fullchain.read_bytes() == theirs.first.fullchain_pem
        assert theirs.leftovers() == []
        assert theirs.run(user=THEM).certificate["refused"]["attempts"] == 1
    finally:
        for pid in map(int, noted.read_text().split()):
            os.kill(pid, signal.SIGKILL)


def test_a_check_that_wants_root(theirs: Host) -> None:
    """As `nginx -t` does, which reads keys: to the person who types it as root it would tell nothing."""
    theirs.configure(check=["head", "-c", "0", "/etc/shadow"])
    theirs.offer_new()
    done = theirs.run(user=THEM)
    assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
    assert "Permission denied" in done.certificate["detail"]
    assert done.certificate["hint"].startswith("type that command as the agent's user, and mend")
    assert theirs.fullchain.read_bytes() == theirs.first.fullchain_pem
