"""Names on another host that are not in UTF-8, as old systems have them."""

import os

import pytest

from tests.agent.host import Host
from tests.agent.over_ssh.test_remote_install import BOTH
from tests.agent.remote import RemoteSite, is_as_before
from tests.servers.nginx import Nginx

LATIN = os.fsdecode(b"r\xe9al.pem")


@pytest.mark.soak
@BOTH
def test_beside_a_live_file(host: Host, site: RemoteSite, nginx: Nginx, first: bytes) -> None:
    """They are no matter, also for a roll back, which looks for leftovers in that folder."""
    (host.live / LATIN).touch()
    site.configure(check=nginx.check, activate=["false"], probe=[f"https://127.0.0.1:{nginx.port}"])
    assert host.run().certificate["state"] == "failed"
    assert is_as_before(host, nginx, first)


@pytest.mark.soak
@BOTH
def test_behind_a_link(host: Host, site: RemoteSite, nginx: Nginx, first: bytes) -> None:
    """Such a file is not written: the path cannot be named in a journal. The sentence names the link."""
    behind = host.fullchain.rename(host.live / LATIN)
    host.fullchain.symlink_to(behind)
    done = host.run()
    assert done.certificate["state"] == "failed"
    assert f"{host.fullchain} leads to a name that is not in UTF-8" in done.err
    assert behind.read_bytes() == first
