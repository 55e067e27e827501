"""A box whose CA is a Pebble behind a proxy that can be made to misbehave."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.servers.ca_proxy import CaProxy
from tests.servers.lab import Lab


@pytest.fixture
def proxy(lab: Lab, tmp_path: Path) -> Iterator[CaProxy]:
    """The proxy, running; rules may be added at any time."""
    folder = tmp_path / "proxy"
    folder.mkdir()
    with CaProxy(folder, lab.pebble) as running:
        yield running


@pytest.fixture
def proxied(box: Box, proxy: CaProxy) -> Box:
    """A box that uses the proxy as its CA."""
    box.write(acme={"directory": proxy.directory, "ca_bundle": str(proxy.ca_file)})
    return box
