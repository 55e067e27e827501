"""kill -9 at every step of an install, on a real nginx: the next run settles it, and the service is never without."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.host import NAME, Host
from tests.agent.killed import Step, acting
from tests.agent.vhosts import Vhosts
from tests.servers.nginx import Nginx

# Each instant once: what comes after one of these calls is the moment before the next.
STEPS: list[Step] = [
    ("agent.journey.install", "stage", 1, "before"),
    ("agent.journey.install", "prepare", 1, "before"),
    ("agent.journey.install", "back_up", 1, "before"),
    ("agent.journey.install", "open_journal", 1, "before"),
    ("agent.journey.install", "enter", 1, "before"),
    ("agent.journey.install", "swap", 1, "before"),
    ("os", "rename", 3, "before"),  # the first live file; two went before in the state folder
    ("os", "rename", 4, "before"),  # the second one
    ("agent.journey.install", "check_after", 1, "before"),
    ("agent.journey.install", "enter", 2, "before"),
    ("agent.journey.install", "activate", 1, "before"),
    ("agent.journey.install", "enter", 3, "before"),
    ("agent.journey.install", "prove", 1, "before"),
    ("agent.journey.install", "commit", 1, "before"),
    ("agent.host.state_folder:StateFolder", "sync_work", 1, "before"),
    ("agent.host.state_folder:StateFolder", "sync_work", 1, "after"),
    ("agent.host.state_folder:StateFolder", "save_records", 1, "before"),
    ("agent.host.state_folder:StateFolder", "save_records", 1, "after"),
    ("agent.host.state_folder:StateFolder", "save_records", 2, "before"),  # the report has been sent
    ("agent.host.state_folder:StateFolder", "save_records", 2, "after"),
]
STEPS_BACK: list[Step] = [
    ("agent.journey.install", "roll_back", 1, "before"),
    ("agent.host.files:LocalFiles", "restore", 1, "before"),
    ("agent.journey.roll_back", "_tell_again", 1, "before"),
    ("agent.journey.roll_back", "_look_until_as_before", 1, "before"),
    ("agent.journey.install", "roll_back", 1, "after"),
]


def die(host: Host, step: Step) -> None:
    done = host.run(program=acting(step))
    assert done.code == -signal.SIGKILL, (done.code, done.err)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Nginx, Path]]:
    """A host with two live files, the second one with the key, nginx, and a certificate that is installed and proven:
    what each test that settles an install leaves behind as well."""
    folder = tmp_path_factory.mktemp("installed")
    host = Host(folder / "host")
    host.make_key()
    host.put_placeholder()
    key = host.live / "combined.pem"
    with Nginx(folder / "nginx", host.fullchain, host.key, name=NAME) as nginx:
        host.served_by(nginx, more=f'[[certificate.combined]]\npath = "{key}"\nparts = ["key", "certificate", "chain"]')
        host.offer_new()
        assert host.run().code == 0
        yield host, nginx, key


@pytest.mark.sampled
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_killed_then_settled(installed: tuple[Host, Nginx, Path], step: Step) -> None:
    """Whatever instruction it dies at: the service serves on, and the next run ends with the new one proven."""
    host, nginx, key = installed
    before, renewed = nginx.served(), host.offer_new()
    die(host, step)
    assert nginx.served() in {before, renewed.certificate}
    done = host.run()
    assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
    assert nginx.served() == renewed.certificate
    assert host.fullchain.read_bytes() == renewed.fullchain_pem
    assert key.read_bytes() == host.key.read_bytes() + renewed.fullchain_pem
    assert host.leftovers() == []
    assert host.reported()["state"] == "installed"
    assert subprocess.run(nginx.check, capture_output=True, check=False).returncode == 0


@pytest.mark.sampled
@pytest.mark.parametrize("step", STEPS_BACK, ids=str)
def test_killed_while_rolling_back(host: Host, nginx: Nginx, step: Step) -> None:
    """A roll back that was interrupted is ended by the next run, and the old certificate is served."""
    host.first = host.offer_new()
    assert host.run().code == 0
    host.served_by(nginx, activate=["true"], probe_timeout="1s")
    host.offer_new()
    die(host, step)
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
    assert nginx.served() == host.first.certificate
    assert host.fullchain.read_bytes() == host.first.fullchain_pem
    assert host.leftovers() == []


def test_an_interrupted_install_that_is_proven_stands(host: Host, nginx: Nginx) -> None:
    """Killed after the service had taken the new one: nothing goes back, the workers stay."""
    host.first = host.offer_new()
    assert host.run().code == 0
    renewed = host.offer_new()
    die(host, ("agent.journey.install", "prove", 1, "after"))
    inode = host.fullchain.stat().st_ino
    done = host.run()
    assert (done.code, done.certificate["changed"]) == (0, False), done.err
    assert host.fullchain.stat().st_ino == inode
    assert nginx.served() == renewed.certificate


def test_an_interrupted_install_of_what_is_configured_no_more(host: Host, nginx: Nginx) -> None:
    """The files go back even when the certificate's entry is gone from agent.toml."""
    host.first = host.offer_new()
    assert host.run().code == 0
    host.offer_new()
    die(host, ("agent.journey.install", "swap", 1, "after"))
    host.config.write_text(host.config.read_text().replace(host.name, "other.example.test"))
    done = host.run()
    assert done.code == 1
    assert host.fullchain.read_bytes() == host.first.fullchain_pem
    assert host.leftovers() == []


def test_a_service_that_was_stopped_stays_stopped(host: Host, nginx: Nginx) -> None:
    """Nobody told it before the kill, and nobody does when the files go back."""
    told = host.folder / "told"
    host.served_by(nginx, activate=["touch", str(told)])
    nginx.stop()
    host.offer_new()
    die(host, ("agent.journey.install", "commit", 1, "before"))
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "unproven"), done.err
    assert not told.exists()


def test_a_commit_that_was_not_put_on_record_stands(host: Host, nginx: Nginx) -> None:
    """Killed after the commit: no way leads back from there, also if a file was changed or the entry is gone."""
    host.first = host.offer_new()
    assert host.run().code == 0
    renewed = host.offer_new()
    die(host, ("agent.host.state_folder:StateFolder", "save_records", 1, "before"))
    config = host.config.read_text()
    host.config.write_text(config.replace(host.name, "other.example.test"))
    assert "certfleet itself" not in host.run().err
    assert host.fullchain.read_bytes() == renewed.fullchain_pem
    host.config.write_text(config)
    renewed = host.offer_new()
    die(host, ("agent.host.state_folder:StateFolder", "save_records", 1, "before"))
    host.fullchain.unlink()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
    assert host.fullchain.read_bytes() == renewed.fullchain_pem
    assert host.leftovers() == []


TOGETHER: list[Step] = [
    ("os", "rename", 7, "before"),  # the second live file of three; five went before in the state folder
    ("agent.journey.leave_out:_Trial", "put", 2, "before"),
    ("agent.journey.leave_out:_Trial", "put", 3, "after"),
    ("agent.journey.install", "take_back", 2, "before"),
    ("agent.journey.install", "take_back", 2, "after"),
    ("agent.journey.install", "activate", 1, "before"),
    ("agent.journey.install", "prove", 1, "before"),
    ("agent.journey.install", "prove", 1, "after"),
    ("agent.journey.install", "commit", 1, "before"),
    ("agent.journey.install", "commit", 1, "after"),
    ("agent.host.state_folder:StateFolder", "save_records", 2, "after"),
    ("agent.host.state_folder:StateFolder", "finish", 1, "before"),
    ("agent.host.state_folder:StateFolder", "finish", 1, "after"),
]


@pytest.mark.sampled
@pytest.mark.parametrize("step", TOGETHER, ids=str)
def test_killed_with_several_on_the_way(host: Host, nginx: Nginx, step: Step) -> None:
    """Three together, of which nginx refuses one: the next run ends with two installed and the old one in place."""
    vhosts = Vhosts(host, nginx, 3)
    vhosts.write()
    first = vhosts.offer()
    assert host.run().code == 0
    bad = vhosts.names[1]
    vhosts.configure(bad, files=f'[[certificate.combined]]\npath = "{vhosts.file(bad)}"\nparts = ["chain"]')
    vhosts.write()
    renewed = vhosts.offer()
    die(host, step)
    for name, shown in vhosts.served().items():
        assert shown in {first[name].certificate, renewed[name].certificate}
    done = host.run("--retry")
    assert done.code == 1, done.err
    for name, shown in vhosts.served().items():
        assert shown == (first if name == bad else renewed)[name].certificate
        fullchain = (first if name == bad else renewed)[name].fullchain_pem
        assert vhosts.file(name).read_bytes() == fullchain
    assert host.leftovers() == []
    assert subprocess.run(nginx.check, capture_output=True, check=False).returncode == 0
