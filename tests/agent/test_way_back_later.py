"""Of several certificates one goes back, and its old files cannot be put back: a later run that can does it."""

import os

import pytest

from tests.agent.host import Done, Host
from tests.agent.killed import acting
from tests.agent.vhosts import Vhosts
from tests.servers.nginx import Nginx

MOUNTED = ["unshare", "--mount"]  # in it a file can be mounted, so that nothing takes its place

pytestmark = pytest.mark.soak


def states(done: Done) -> dict[str, str]:
    return {one["name"]: one["state"] for one in done.json["certificates"]}


class Stuck:
    """Two virtual hosts, of which nginx reads another file for the second: that one goes back. In a run that is
    `MOUNTED` its file is stuck from the reload on."""

    def __init__(self, host: Host, nginx: Nginx) -> None:
        self.host, self.vhosts = host, Vhosts(host, nginx, 2)
        self.good, self.bad = self.vhosts.names
        self.vhosts.write()
        self.vhosts.offer()
        assert host.run().code == 0
        self.file = host.live / "elsewhere.pem"
        self.file.write_bytes(self.vhosts.file(self.bad).read_bytes())
        self.before = self.file.read_bytes()
        self.served = self.vhosts.served()
        stick = f"mount --bind {self.file} {self.file}"
        is_here = f'[ "$(readlink /proc/self/ns/mnt)" = "{os.readlink("/proc/self/ns/mnt")}" ]'
        self.unless_here = f"{is_here} || mountpoint -q {self.file} || {stick}"
        self.mounted = [*MOUNTED, "sh", "-c", f'{stick}; exec "$@"', "sh"]
        self.tell(nginx.activate, self.unless_here)
        assert host.run().code == 0

    def tell(self, activate: list[str], stick: str) -> None:
        """Have nginx told by *activate*, after the shell has done *stick*."""
        words = ["sh", "-c", f'{stick}; exec "$@"', "sh", *activate]
        self.vhosts.configure(self.good, activate=words)
        self.vhosts.configure(self.bad, activate=words, files=f'[certificate.files]\nfullchain = "{self.file}"')
        self.vhosts.write(probe_timeout="2s")

    def assert_is_stuck(self, done: Done) -> None:
        assert (done.code, states(done)[self.bad]) == (1, "broken"), done.err
        assert "ROLL BACK FAILED, the old files could not be put back" in done.err
        assert self.file.read_bytes() != self.before

    def assert_is_back(self, done: Done) -> None:
        assert (done.code, states(done)[self.bad]) == (1, "failed"), done.err
        assert self.file.read_bytes() == self.before
        assert self.vhosts.served(self.bad)[self.bad] == self.served[self.bad]
        assert self.host.leftovers() == []


@pytest.fixture
def stuck(host: Host, nginx: Nginx) -> Stuck:
    return Stuck(host, nginx)


def test_beside_one_that_stays(stuck: Stuck) -> None:
    """The other one is installed and proven; the next run puts the old file of the first back, and nothing else."""
    issued = stuck.vhosts.offer()
    done = stuck.host.run(wrap=MOUNTED)
    assert states(done)[stuck.good] == "installed", done.err
    stuck.assert_is_stuck(done)
    done = stuck.host.run()
    stuck.assert_is_back(done)
    assert states(done)[stuck.good] == "installed"
    assert stuck.vhosts.served(stuck.good)[stuck.good] == issued[stuck.good].certificate


def test_beside_one_that_stays_after_a_kill(stuck: Stuck, nginx: Nginx) -> None:
    """The run that settles the install finds the other one proven: a later one does not ask that again, and takes it
    back for no service that is down."""
    stuck.tell(nginx.activate, "true")
    issued = stuck.vhosts.offer()
    stuck.host.run(program=acting(("agent.journey.install", "prove", 1, "after")))
    done = stuck.host.run(wrap=stuck.mounted)
    assert states(done)[stuck.good] == "installed", done.err
    stuck.assert_is_stuck(done)
    nginx.stop()
    stuck.host.database.rename(stuck.host.database.with_suffix(".away"))
    assert states(stuck.host.run())[stuck.good] == "unreachable"
    assert stuck.file.read_bytes() == stuck.before
    assert stuck.vhosts.file(stuck.good).read_bytes() == issued[stuck.good].fullchain_pem


@pytest.mark.parametrize("command", ["run", "rollback"])
def test_before_the_other_one_is_installed_again(stuck: Stuck, nginx: Nginx, command: str) -> None:
    """Both go back, and the other one's files can: the install that it has then costs the first its way back neither,
    although the one before had its name."""
    stuck.vhosts.offer(stuck.good)
    assert stuck.host.run().code == 0
    stuck.tell(["false"], stuck.unless_here)
    issued = stuck.vhosts.offer()
    done = stuck.host.run(wrap=MOUNTED)
    assert states(done)[stuck.good] == "failed", done.err
    stuck.assert_is_stuck(done)
    stuck.tell(nginx.activate, "true")
    words = ["run", "--retry"] if command == "run" else ["rollback", stuck.good]
    done = stuck.host.agent(*words, "--json", wrap=stuck.mounted)
    assert states(done)[stuck.good] == "installed", done.err
    assert (stuck.vhosts.served(stuck.good)[stuck.good] == issued[stuck.good].certificate) is (command == "run")
    done = stuck.host.run(wrap=stuck.mounted)
    stuck.assert_is_stuck(done)
    stuck.assert_is_back(stuck.host.run())
