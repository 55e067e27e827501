"""A network of a test's own."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.servers.network import Network


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network")
def test_a_network_of_ones_own() -> None:
    """Inside, every port is free on the addresses asked for and nothing leads out; afterwards all is as before."""
    link = Path("/proc/thread-self/ns/net")
    before = os.readlink(link)
    with Network(["127.0.1.1", "fd00:53::1"]):
        assert os.readlink(link) != before
        for family, address in ((socket.AF_INET, "127.0.1.1"), (socket.AF_INET6, "fd00:53::1")):
            with socket.create_server((address, 53), family=family) as server:
                assert server.getsockname()[1] == 53
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, pytest.raises(OSError, match="unreachable"):
            probe.connect(("192.0.2.1", 53))
        assert subprocess.run(["readlink", link], capture_output=True, check=True).stdout.decode().strip() != before
    assert os.readlink(link) == before
