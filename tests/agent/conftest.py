"""A host, and the same host with a real server that reads its live files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.accounts import Agents, source_lines
from tests.agent.host import NAME, Host
from tests.servers.apache import Apache
from tests.servers.mariadb import MariaDB
from tests.servers.nginx import Nginx
from tests.servers.sql_server import SqlServer


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with a key and a placeholder certificate, and nothing configured."""
    host = Host(tmp_path / "host")
    host.make_key()
    host.put_placeholder()
    return host


@pytest.fixture
def bare(tmp_path: Path) -> Host:
    """A host that has nothing yet: no key, no agent.toml."""
    return Host(tmp_path / "host")


@pytest.fixture
def nginx(host: Host, tmp_path: Path) -> Iterator[Nginx]:
    """nginx serving the host's live file, and the agent configured for it."""
    with Nginx(tmp_path / "nginx", host.fullchain, host.key, name=NAME) as server:
        host.served_by(server)
        yield server


@pytest.fixture
def apache(host: Host, tmp_path: Path) -> Iterator[Apache]:
    """Apache serving the host's live file, and the agent configured for it."""
    with Apache(tmp_path / "apache", host.fullchain, host.key, name=NAME) as server:
        host.served_by(server)
        yield server


@pytest.fixture
def agents(sql_server: SqlServer, tmp_path: Path) -> Agents:
    """A new database on a real server, on which agents can have accounts."""
    return Agents(sql_server.create_database(), tmp_path)


@pytest.fixture
def own_agents(host: Host, nginx: Nginx, tmp_path: Path) -> Iterator[Agents]:
    """Agents of a server that may be made read-only without disturbing other tests. It has a certificate for the host,
    and the agent is configured for it."""
    with MariaDB() as server:
        agents = Agents(server.create_database(), tmp_path)
        probe = [f"https://127.0.0.1:{nginx.port}"]
        lines = source_lines(agents.settings())
        host.configure(check=nginx.check, activate=nginx.activate, probe=probe, source=lines)
        host.first = host.sign()
        agents.enrol(NAME, host.first.cert_pem, host.first.chain_pem)
        yield agents
