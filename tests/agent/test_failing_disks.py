"""Disks that fail while an install is under way, in other ways than by being full."""

import pytest

from tests.agent.host import NAME, Host
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
def test_a_state_folder_that_turns_read_only_before_the_commit(host: Host, served: Nginx) -> None:
    """Nothing says that the new key stays: the file of the next key does, for the run that has to go back to the old
    one, because the service is down, and for the one that installs the new one again."""
    old = host.key.read_bytes()
    assert host.agent("request", NAME, "--next", "--csr", str(host.folder / "next.csr")).code == 0
    waiting = host.key.with_name("key.pem.next")
    made = waiting.read_bytes()
    new = host.authority.sign((host.folder / "next.csr").read_bytes())
    host.offer(new.cert_pem, new.chain_pem)
    folders = [str(host.state_dir / one) for one in ("journal", "records")]
    script = 'for one; do mount --bind "$one" "$one"; mount -o remount,bind,ro "$one"; done'
    shut = f"subprocess.run({['sh', '-ec', script, 'sh', *folders]!r}, check=True)"
    step = ("agent.journey.install", "commit", 1, "before")
    done = host.run(program=acting(step, shut), wrap=["unshare", "--mount"])
    assert "journal.not-written" in done.err
    assert (served.served(), host.key.read_bytes()) == (new.certificate, made)
    served.stop()
    host.database.rename(host.database.with_suffix(".away"))
    host.run()
    assert (host.key.read_bytes(), waiting.read_bytes()) == (old, made)
    host.database.with_suffix(".away").rename(host.database)
    served.start()
    done = host.run("--retry")
    assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
    assert (served.served(), host.key.read_bytes(), waiting.exists()) == (new.certificate, made, False)


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
