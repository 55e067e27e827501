"""`"ask"`: the files are put in place, a person restarts the service, and until then it is pending."""

import json
import re
import subprocess

import pytest

from tests.agent.host import Host, sha256
from tests.agent.test_announce import Told, a_day_passes
from tests.agent.test_found_by_the_reload import states
from tests.agent.vhosts import Vhosts
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


BY_ACTIVATE, BY_ON_INSTALL = 'activate = "ask"', 'on_install = ["ask"]'


def asks(told: Told, head: str = "", entry: str = BY_ACTIVATE) -> None:
    """*entry* stands where `activate` would."""
    told.configure(head)
    told.host.config.write_text(re.sub("(?m)^activate = .*", entry, told.host.config.read_text()))


@pytest.mark.parametrize("entry", [BY_ACTIVATE, BY_ON_INSTALL])
def test_it_is_pending_until_the_socket_shows_it(
    host: Host, nginx: Nginx, first: Issued, told: Told, entry: str
) -> None:
    """Each run looks and touches nothing; after the restart all is well."""
    asks(told, entry=entry)
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


@pytest.mark.parametrize("head", ['on_install = ["ask", {}]', 'on_install = "ask"\non_failure = [{}]'])
def test_people_are_reminded_daily(host: Host, nginx: Nginx, first: Issued, told: Told, head: str) -> None:
    """By the means of either list, beside the word itself."""
    asks(told, head.format(json.dumps(told.command)), entry="")
    host.offer_new()
    assert host.run().code == 1
    assert [facts["CERTFLEET_STATE"] for facts in told.facts()] == ["pending"]
    assert host.run().code == 1
    assert told.facts() == []
    a_day_passes(host)
    assert host.run().code == 1
    assert len(told.facts()) == 1
    subprocess.run(nginx.activate, check=True)
    a_day_passes(host)
    wait_until(lambda: host.run().code == 0, "it is installed")
    assert [facts for facts in told.facts() if facts["CERTFLEET_STATE"] != "pending"] == []


def test_one_certificate_may_be_told_without_a_person(host: Host, nginx: Nginx, first: Issued, told: Told) -> None:
    """Its own list goes before the word at the top."""
    told.configure('on_install = "ask"')
    host.config.write_text(host.config.read_text().replace("[[certificate]]", "[[certificate]]\non_install = []"))
    newer = host.offer_new()
    assert host.run().code == 0
    assert nginx.served() == newer.certificate


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


def test_the_restart_has_failed(host: Host, nginx: Nginx, first: Issued, told: Told) -> None:
    """It is pending still, and why no socket shows it is said."""
    asks(told)
    host.offer_new()
    assert "does not show it yet\n" in host.run().err
    nginx.stop()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "pending")
    assert done.certificate["detail"].endswith("does not show it yet: Connection refused")
    nginx.start()
    assert host.run().code == 0


def test_another_one_of_the_service_is_told(host: Host, nginx: Nginx) -> None:
    """It keeps its own word: its reload shows the pending one too, which the next run finds."""
    vhosts = Vhosts(host, nginx, 2)
    vhosts.write()
    vhosts.offer()
    assert host.run().code == 0
    asking, other = vhosts.names
    text = host.config.read_text()
    host.config.write_text(re.sub("(?m)^activate = .*", BY_ON_INSTALL, text, count=1))
    assert host.run().code == 0
    vhosts.commands()
    newer = vhosts.offer(asking)
    assert host.run().code == 1
    assert vhosts.commands() == ["check"]
    newer |= vhosts.offer(other)
    assert host.run().code == 1
    assert vhosts.commands() == ["check", "activate"]
    expected = {name: one.certificate for name, one in newer.items()}
    wait_until(lambda: all(vhosts.served() == expected for _ in range(20)), "the old workers have gone")
    assert host.run().code == 0
    assert vhosts.commands() == []


def test_one_that_fails_beside_a_pending_one(host: Host, nginx: Nginx) -> None:
    """It has no virtual host of its own, so that its socket shows the first one, which is pending: by the reload that
    one's new certificate. The one that failed is as it was, and not broken."""
    vhosts = Vhosts(host, nginx, 2)
    asking, other = vhosts.names
    vhosts.serve([asking])
    vhosts.write("1s")
    host.config.write_text(re.sub("(?m)^activate = .*", BY_ON_INSTALL, host.config.read_text(), count=1))
    first = vhosts.offer(asking)[asking]
    host.run()
    subprocess.run(nginx.activate, check=True)
    wait_until(lambda: all(nginx.served() == first.certificate for _ in range(20)), "the old workers have gone")
    newer = vhosts.offer(asking)[asking]
    assert states(host.run())[asking] == "pending"
    vhosts.offer(other)
    done = host.run()
    assert states(done) == {asking: "pending", other: "failed"}, done.err
    assert vhosts.served(asking) == {asking: newer.certificate}
