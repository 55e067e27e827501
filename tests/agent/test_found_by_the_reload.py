"""One bad certificate among many that no check finds, only the reload: the others are installed in the same run."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.agent.host import Done, Host
from tests.agent.test_taken_down import ApacheVhosts
from tests.agent.vhosts import Vhosts
from tests.servers.apache import Apache
from tests.servers.nginx import Nginx


def states(done: Done) -> dict[str, str]:
    return {one["name"]: one["state"] for one in done.json["certificates"]}


def with_first_ones(vhosts: Vhosts) -> Vhosts:
    """Each virtual host with a first certificate, and none of the checks finds any fault."""
    vhosts.write("2s")
    vhosts.offer()
    done = vhosts.host.run()
    assert done.code == 0, done.err
    vhosts.commands()
    return vhosts


@contextmanager
def on_apache(host: Host, folder: Path, count: int) -> Iterator[ApacheVhosts]:
    """Virtual hosts of an Apache, whose own check reads no certificate; the agent knows its log."""
    server = Apache(folder, host.fullchain, host.key, name="v000.example.test")
    vhosts = ApacheVhosts(host, server, count)
    with server:
        vhosts.logs = [str(server.folder / "error.log")]
        with_first_ones(vhosts)
        yield vhosts


def on_nginx(host: Host, nginx: Nginx, count: int) -> Vhosts:
    """Virtual hosts of an nginx that keeps its old workers where the new files are no good; no log is known."""
    nginx.check, nginx.activate = ["true"], ["sh", "-c", f"kill -HUP $(cat {nginx.folder}/pid)"]
    return with_first_ones(Vhosts(host, nginx, count))


@pytest.fixture
def apache(host: Host, tmp_path: Path) -> Iterator[ApacheVhosts]:
    with on_apache(host, tmp_path / "apache", 4) as vhosts:
        yield vhosts


@pytest.fixture
def nginx_hosts(host: Host, nginx: Nginx) -> Vhosts:
    return on_nginx(host, nginx, 4)


def without_certificate(vhosts: Vhosts, name: str) -> None:
    """The file of that name will hold a key alone, at which the daemon's reload fails."""
    vhosts.configure(name, files=f'[[certificate.combined]]\npath = "{vhosts.file(name)}"\nparts = ["key"]')


def test_apache_goes_down_and_its_log_names_the_one(apache: ApacheVhosts, host: Host) -> None:
    bad = apache.names[2]
    before = apache.file(bad).read_bytes()
    without_certificate(apache, bad)
    apache.write("2s")
    was, issued = apache.served(), apache.offer()
    done = host.run()
    assert [name for name, state in states(done).items() if state != "installed"] == [bad], done.err
    assert f"{bad}: failed: " in done.err
    assert "its log says: " in done.err
    assert str(apache.file(bad)) in done.err
    assert apache.commands() == ["check", "activate", "activate"]
    assert apache.file(bad).read_bytes() == before
    assert apache.served() == {name: was[name] if name == bad else issued[name].certificate for name in apache.names}
    assert host.leftovers() == []


@pytest.mark.soak
def test_apache_goes_down_and_nothing_names_the_one(apache: ApacheVhosts, host: Host) -> None:
    """It must not go down again and again: everything goes back, by one reload more."""
    apache.logs = []
    without_certificate(apache, apache.names[2])
    apache.write("2s")
    was, _ = apache.served(), apache.offer()
    done = host.run()
    assert set(states(done).values()) == {"failed"}
    assert apache.commands() == ["check", "activate", "activate"]
    assert apache.served() == was


@pytest.mark.sampled
@pytest.mark.parametrize("number", [1, 2])
def test_nginx_runs_on_and_halves_find_the_one(nginx_hosts: Vhosts, host: Host, number: int) -> None:
    vhosts, bad = nginx_hosts, nginx_hosts.names[number]
    without_certificate(vhosts, bad)
    vhosts.write("1s")
    was, issued = vhosts.served(), vhosts.offer()
    done = host.run()
    assert [name for name, state in states(done).items() if state != "installed"] == [bad], done.err
    assert f"{bad}: failed: the service does not serve the new certificate" in done.err
    assert vhosts.served() == {name: was[name] if name == bad else issued[name].certificate for name in vhosts.names}
    assert host.leftovers() == []
    vhosts.commands()
    assert states(host.run())[bad] == "failed"
    assert vhosts.commands() == []


def test_nginx_runs_on_and_its_log_names_the_one(nginx_hosts: Vhosts, host: Host) -> None:
    vhosts, bad = nginx_hosts, nginx_hosts.names[2]
    vhosts.logs = [str(vhosts.daemon.folder / "error.log")]
    without_certificate(vhosts, bad)
    vhosts.write("1s")
    vhosts.offer()
    done = host.run()
    assert [name for name, state in states(done).items() if state != "installed"] == [bad], done.err
    assert vhosts.commands() == ["check", "activate", "activate"]
    assert "its log says: " in done.err


@pytest.mark.soak
def test_those_that_stay_are_verified_without_the_one(host: Host, nginx: Nginx) -> None:
    """nginx reads another file for one name, which goes back; then the proof of the service fails, and so do they. A
    password among its words is told to nobody."""
    vhosts = with_first_ones(Vhosts(host, nginx, 2))
    one, elsewhere = vhosts.names[1], host.live / "elsewhere.pem"
    elsewhere.write_bytes(vhosts.file(one).read_bytes())
    verify = f"verify = {json.dumps(vhosts.counted('verify', ['false', 'sesame']))}\n"
    for name in vhosts.names:
        file = elsewhere if name == one else vhosts.file(name)
        vhosts.configure(name, files=f'{verify}[certificate.files]\nfullchain = "{file}"')
    vhosts.write("1s")
    was, _ = vhosts.served(), vhosts.offer()
    done = host.run()
    assert set(states(done).values()) == {"failed"}, done.err
    assert " …` of `verify` failed: exit code 1" in done.err
    assert "sesame" not in done.out + done.err
    assert vhosts.commands()[:5] == ["check", "activate", "activate", "verify", "activate"]
    assert vhosts.served() == was


def test_the_key_of_another_one_is_gone(host: Host, nginx: Nginx) -> None:
    """nginx keeps the old ones of all, and says why. That is told of those that were to come."""
    nginx.check, nginx.activate = ["true"], ["sh", "-c", f"kill -HUP $(cat {nginx.folder}/pid)"]
    vhosts = Vhosts(host, nginx, 2, own_keys=True)
    coming, other = vhosts.names
    subprocess.run(nginx.activate, check=True)
    with_first_ones(vhosts)
    vhosts.logs = [str(nginx.folder / "error.log")]
    vhosts.write("1s")
    vhosts.key(other).unlink()
    vhosts.offer(coming)
    done = host.run()
    assert states(done) == {coming: "failed", other: "refused"}, done.err
    (found,) = (one for one in done.json["certificates"] if one["name"] == coming)
    assert "is the one before; its log says: " in found["detail"]
    assert f"{other}.key" in found["detail"]
    assert found["hint"] == "mend what its log says"
