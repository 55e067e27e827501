"""Services of many hosts without an agent that answer nobody: how long a run looks at them."""

import shutil
from contextlib import ExitStack

import pytest

from agent.host import keys
from tests.agent.host import NAME, Host
from tests.agent.remote import RemoteSite
from tests.agent.test_hung_beside import HUNG, silent
from tests.agent.test_install_hung import LOOK, QUICK
from tests.servers.nginx import Nginx
from tests.servers.ports import free_port
from tests.servers.silent import Silent
from tests.servers.stopwatch import Stopwatch

HOSTS = 8
AWAY = "away.example.test"


def add(host: Host, site: RemoteSite, name: str, port: int) -> None:
    """A certificate of one more host, with a socket at *port*."""
    pins, probe = host.folder / f"{name}.pins", f'probe = ["https://127.0.0.1:{port}"]'
    shutil.copy(site.pins, pins)
    entry = f'[[certificate]]\nname = "{name}"\nkey = "{host.key}"\n{probe}\n{site.settings}'
    files = f'[certificate.files]\nfullchain = "{host.live}/{name}.pem"\n'
    host.config.write_text(host.config.read_text() + entry.replace(str(site.pins), str(pins)) + files)
    issued = host.authority.sign(keys.csr(keys.load(host.key), (name,)))
    host.offer(issued.cert_pem, issued.chain_pem, name=name)


@pytest.mark.soak
def test_they_are_looked_at_together(host: Host, site: RemoteSite, nginx: Nginx, first: bytes) -> None:
    """By a run without news; those of a host that is away not at all. The hosts have one sshd here, and each its own
    login."""
    names, ports = [f"n{number}.example.test" for number in range(HOSTS)], [free_port() for _ in range(HOSTS)]
    for name, port in zip(names, ports, strict=True):
        add(host, site, name, port)
    host.run()
    with ExitStack() as services:
        for port in ports:
            services.enter_context(silent(port, HUNG))
        away = services.enter_context(Silent())
        add(host, site, AWAY, away.port)
        gone = site.url.replace(f":{site.port}", f":{free_port()}")
        config, _, last = host.config.read_text().rpartition(site.url)
        host.config.write_text(f"{config}{gone}{last}")
        watch = Stopwatch()
        done = host.run(program=QUICK)
        assert watch.seconds() < HOSTS * LOOK * 3 / 4
        assert away.calls == 0
    found = {one["name"]: one for one in done.json["certificates"]}
    assert found.pop(NAME)["state"] == "installed"
    assert found.pop(AWAY)["state"] == "unreachable"
    assert [one["state"] for one in found.values()] == ["unproven"] * HOSTS
    for name, port in zip(names, ports, strict=True):
        assert f"no certificate is shown at https://127.0.0.1:{port} " in found[name]["detail"]
