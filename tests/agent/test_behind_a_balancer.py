"""A name that leads to a balancer, HAProxy: what other hosts serve there is not this host's to judge."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.host import AGENT, Host
from tests.servers.balancer import Balancer
from tests.servers.nginx import Nginx

ADDRESS = "127.0.0.2"
ELSEWHERE = f"""import agent.host.sockets
agent.host.sockets.is_of_this_host = lambda address: address[1][0] != "{ADDRESS}"
{AGENT}"""  # the balancer's address is another machine's


@pytest.fixture
def balanced(host: Host, nginx: Nginx, tmp_path: Path) -> Iterator[str]:
    """A target of the balancer, which sends every second client to another host."""
    files = host.root.issue([host.name]).write(tmp_path / "other")
    with Nginx(tmp_path / "other-nginx", files.fullchain, files.key, name=host.name) as other:
        servers = [f"server s{number} 127.0.0.1:{port}" for number, port in enumerate((nginx.port, other.port))]
        binds = [f"bind {ADDRESS}:{nginx.port}", "bind PLACE"]
        lines = ["mode tcp", "balance roundrobin", "timeout connect 5s", "timeout client 5s", "timeout server 5s"]
        stanza = "\n  ".join(["listen balancer", *lines, *binds, *servers]) + "\n"
        with Balancer(tmp_path / "balancer", stanza, "PLACE"):
            yield f"https://{ADDRESS}:{nginx.port}"


def test_a_good_one_stays(host: Host, nginx: Nginx, balanced: str) -> None:
    """The host's own socket shows it."""
    host.configure(check=nginx.check, activate=nginx.activate, probe=[balanced], probe_timeout="3s")
    for _ in range(2):
        new = host.offer_new()
        done = host.run(program=ELSEWHERE)
        assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
        assert nginx.served() == new.certificate
    assert host.run(program=ELSEWHERE).code == 0


def test_one_that_the_host_does_not_take(host: Host, nginx: Nginx, balanced: str) -> None:
    """Neither the balancer nor the host's own socket shows it: it goes back."""
    host.configure(check=nginx.check, activate=nginx.activate, probe=[balanced])
    host.offer_new()
    assert host.run(program=ELSEWHERE).code == 0
    before = host.fullchain.read_bytes()
    host.configure(check=nginx.check, activate=["true"], probe=[balanced], probe_timeout="1s")
    host.offer_new()
    done = host.run(program=ELSEWHERE)
    assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
    assert (
        f"({ADDRESS}:{nginx.port}, not an address of this host) shows another certificate" in done.certificate["detail"]
    )
    assert host.fullchain.read_bytes() == before
