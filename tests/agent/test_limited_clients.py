"""A service that turns away a client who connects too often, as HAProxy with a stick table does."""

from pathlib import Path

import pytest

from tests.agent.host import Host
from tests.agent.test_install_together import installed, states
from tests.agent.vhosts import Vhosts
from tests.servers.balancer import Balancer
from tests.servers.nginx import Nginx


@pytest.mark.parametrize("limit", ["sc0_conn_rate gt 20", "sc0_conn_cur gt 6"])
def test_many_names_at_one_address(host: Host, nginx: Nginx, tmp_path: Path, limit: str) -> None:
    """A look at each of a dozen certificates is more than it takes of one client at once, or within three seconds. All
    are proven, and one that is not served goes back alone."""
    lines = ["mode tcp", "timeout connect 5s", "timeout client 5s", "timeout server 5s", "bind PLACE"]
    lines += ["stick-table type ip size 100 expire 30s store conn_rate(3s),conn_cur"]
    lines += ["tcp-request connection track-sc0 src", f"tcp-request connection reject if {{ {limit} }}"]
    stanza = "\n  ".join(["listen limited", *lines, f"server web 127.0.0.1:{nginx.port}"]) + "\n"
    vhosts = installed(Vhosts(host, nginx, 12))
    with Balancer(tmp_path / "limited", stanza, "PLACE") as limited:

        def run() -> set[str]:
            vhosts.write()
            host.config.write_text(host.config.read_text().replace(f":{nginx.port}?", f":{limited.port}?"))
            issued, done = vhosts.offer(), host.run()
            good = {name for name, state in states(done).items() if state == "installed"}
            assert {name for name, served in vhosts.served().items() if served == issued[name].certificate} == good
            return set(vhosts.names) - good

        assert run() == set()
        bad = vhosts.names[3]
        vhosts.configure(bad, files=f'[certificate.files]\nfullchain = "{host.live}/elsewhere.pem"')
        assert run() == {bad}
