"""A service that turns away a client who connects too often, as HAProxy with a stick table does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.host import Host
from tests.agent.test_install_together import installed, states
from tests.agent.vhosts import Vhosts
from tests.servers.balancer import Balancer
from tests.servers.nginx import Nginx

AT_ONCE, IN_THREE_SECONDS = "sc0_conn_cur gt 6", "sc0_conn_rate gt 20"


@pytest.fixture
def dozen(request: pytest.FixtureRequest, host: Host, nginx: Nginx, tmp_path: Path) -> Iterator[Vhosts]:
    """A dozen names, each with a certificate, behind the limit of the test."""
    lines = ["mode tcp", "timeout connect 5s", "timeout client 5s", "timeout server 5s", "bind PLACE"]
    lines += ["stick-table type ip size 100 expire 30s store conn_rate(3s),conn_cur"]
    lines += ["tcp-request connection track-sc0 src", f"tcp-request connection reject if {{ {request.param} }}"]
    stanza = "\n  ".join(["listen limited", *lines, f"server web 127.0.0.1:{nginx.port}"]) + "\n"
    vhosts = installed(Vhosts(host, nginx, 12))
    with Balancer(tmp_path / "limited", stanza, "PLACE") as limited:
        vhosts.probe_port = limited.port
        for name in vhosts.names:
            vhosts.configure(name)
        vhosts.write()
        yield vhosts


def not_installed(dozen: Vhosts) -> set[str]:
    """The names that a run does not say are installed."""
    return {name for name, state in states(dozen.host.run()).items() if state != "installed"}


@pytest.mark.parametrize("dozen", [AT_ONCE, pytest.param(IN_THREE_SECONDS, marks=pytest.mark.soak)], indirect=True)
def test_new_ones(dozen: Vhosts) -> None:
    """Looks at a dozen certificates are more than it takes. All are proven, and one that is not served goes back
    alone."""
    issued = dozen.offer()
    assert not_installed(dozen) == set()
    assert dozen.served() == {name: one.certificate for name, one in issued.items()}
    bad = dozen.names[3]
    dozen.configure(bad, files=f'[certificate.files]\nfullchain = "{dozen.host.live}/elsewhere.pem"')
    dozen.write()
    dozen.offer()
    assert not_installed(dozen) == {bad}


@pytest.mark.soak
@pytest.mark.parametrize("dozen", [AT_ONCE], indirect=True)
def test_nothing_is_new(dozen: Vhosts) -> None:
    """A run that has nothing to do is not misled either: those that were turned away are asked for again."""
    for _ in range(3):
        assert not_installed(dozen) == set()
