"""A host without an agent, behind an sshd, with an nginx that reads the live files there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.host import NAME, Host
from tests.agent.remote import RemoteSite
from tests.servers.nginx import Nginx
from tests.servers.sshd import Sshd


@pytest.fixture
def sshd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sshd]:
    """One that offers SFTP, or a shell alone."""
    with Sshd(tmp_path / "sshd", sftp="/nonexistent" if getattr(request, "param", "") == "shell" else "") as server:
        yield server


@pytest.fixture
def first(host: Host, nginx: Nginx) -> bytes:
    """The certificate that is installed and served; another one is on offer."""
    host.first = host.offer_new()
    assert host.run().code == 0
    assert nginx.served() == host.first.certificate
    host.offer_new()
    return host.first.fullchain_pem


@pytest.fixture
def site(host: Host, sshd: Sshd) -> RemoteSite:
    return RemoteSite(host, sshd, host.live)


@pytest.fixture
def nginx(host: Host, site: RemoteSite, tmp_path: Path) -> Iterator[Nginx]:
    with Nginx(tmp_path / "nginx", host.fullchain, host.key, name=NAME) as server:
        site.configure(check=server.check, activate=server.activate, probe=[f"https://127.0.0.1:{server.port}"])
        yield server
