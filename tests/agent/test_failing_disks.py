"""Disks that fail while an install is under way, in other ways than by being full."""

import pytest

from tests.agent.host import Host
from tests.agent.killed import acting
from tests.servers.nginx import Nginx


@pytest.fixture
def served(host: Host, nginx: Nginx) -> Nginx:
    """nginx with a first good certificate, installed by the agent."""
    host.first = host.offer_new()
    assert host.run().code == 0
    return nginx


def test_a_disk_that_turns_read_only_when_all_is_staged(host: Host, served: Nginx) -> None:
    """As ext4 does after an error. No live file was replaced, so all is as it was; the reason is the disk. When that
    is mended the next run goes on."""
    renewed = host.offer_new()
    shut = f"""if any(".fullchain.pem." in name for name in os.listdir({str(host.live)!r})):
        subprocess.run(["mount", "-o", "remount,bind,ro", {str(host.live)!r}], check=True)"""
    step = ("common.replacing", "_staged_together", 3, "after")  # the journal is written twice before
    bound = f'mount --bind {host.live} {host.live} && exec "$@"'
    done = host.run(program=acting(step, shut), wrap=["unshare", "--mount", "sh", "-c", bound, "sh"])
    assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
    assert "fullchain.pem: Read-only file system; rolled back, all is as it was" in done.certificate["detail"]
    assert done.certificate["hint"].startswith("mount that file system for writing")
    assert host.fullchain.read_bytes() == host.first.fullchain_pem
    assert served.served() == host.first.certificate
    assert [one.suffix for one in host.leftovers()] == [".tmp"]  # nothing can be removed there
    done = host.run()
    assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
    assert served.served() == renewed.certificate


@pytest.mark.soak
@pytest.mark.parametrize("place", ["live/.fullchain.pem.0a1b2c3d.tmp", "state/journal/.x.json.0a1b2c3d.tmp"])
def test_a_temporary_that_cannot_be_removed(host: Host, served: Nginx, place: str) -> None:
    """It was left where the disk has failed since: neither an install nor a roll back ends there."""
    leftover = host.folder / place
    leftover.touch()
    fixed = ["unshare", "--mount", "sh", "-ec", 'mount --bind "$0" "$0"; "$@"', str(leftover)]
    host.served_by(served, activate=["true"], probe_timeout="1s")
    host.offer_new()
    done = host.run(wrap=fixed)
    assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
    assert "rolled back, all is as it was" in done.certificate["detail"]
    assert host.fullchain.read_bytes() == host.first.fullchain_pem
    host.served_by(served)
    assert host.run("--retry", wrap=fixed).code == 0
    assert leftover.exists()
