"""`activate = "ask"`: the files are put in place, a person restarts the service, and until then it is pending."""

import subprocess

import pytest

from tests.agent.host import Host, sha256
from tests.agent.test_announce import Told, a_day_passes
from tests.servers.authority import Issued
from tests.servers.nginx import Nginx
from tests.servers.process import wait_until


@pytest.fixture
def told(host: Host, nginx: Nginx) -> Told:
    return Told(host, nginx)


@pytest.fixture
def first(host: Host, nginx: Nginx) -> Issued:
    """A certificate in place, by an agent that reloads; from now on a person does."""
    issued = host.offer_new()
    assert host.run().code == 0
    return issued


def asks(told: Told, head: str = "") -> None:
    told.configure(head, activate=["x"])
    told.host.config.write_text(told.host.config.read_text().replace('activate = ["x"]', 'activate = "ask"'))


def test_it_is_pending_until_the_socket_shows_it(host: Host, nginx: Nginx, first: Issued, told: Told) -> None:
    """Each run looks and touches nothing; after the restart all is well."""
    asks(told)
    newer = host.offer_new()
    done = host.run("--dry-run")
    assert (done.code, done.certificate["state"]) == (1, "pending")
    done = host.run()
    assert (done.code, done.certificate["state"], done.certificate["changed"]) == (1, "pending", True), done.err
    assert "restart the service by hand" in done.err
    assert host.fullchain.read_bytes() == newer.fullchain_pem
    assert nginx.served() == first.certificate
    assert host.leftovers() == []
    inode = host.fullchain.stat().st_ino
    done = host.run()
    assert (done.code, done.certificate["state"], done.certificate["changed"]) == (1, "pending", False)
    assert host.fullchain.stat().st_ino == inode
    assert (host.reported()["state"], host.reported()["sha256"]) == ("pending", sha256(newer.certificate))
    subprocess.run(nginx.activate, check=True)
    wait_until(lambda: all(nginx.served() == newer.certificate for _ in range(20)), "the old workers have gone")
    done = host.run()
    assert (done.code, done.certificate["state"]) == (0, "installed"), done.err


def test_people_are_reminded_daily(host: Host, nginx: Nginx, first: Issued, told: Told) -> None:
    asks(told, f"on_failure = [{told.command!r}]".replace("'", '"'))
    host.offer_new()
    assert host.run().code == 1
    assert [facts["CERTFLEET_STATE"] for facts in told.facts()] == ["pending"]
    assert host.run().code == 1
    assert told.facts() == []
    a_day_passes(host)
    assert host.run().code == 1
    assert len(told.facts()) == 1


def test_a_check_that_refuses_still_counts(host: Host, nginx: Nginx, first: Issued, told: Told) -> None:
    """A file with which the service could not start does not stay."""
    asks(told)
    text = host.config.read_text()
    host.config.write_text(text.replace("[certificate.files]", "[[certificate.combined]]").replace(
        f'fullchain = "{host.fullchain}"', f'path = "{host.fullchain}"\nparts = ["chain"]'))  # fmt: skip
    host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed")
    assert host.fullchain.read_bytes() == first.fullchain_pem
