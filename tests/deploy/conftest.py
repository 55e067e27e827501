"""A systemd that is real, in a network of its own; without one these tests are skipped, and say why."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.machine import Central, Machine
from tests.servers.lab import Lab
from tests.servers.network import Network
from tests.servers.systemd import why_not


@pytest.fixture(scope="session")
def systemd_or_skip() -> None:
    """Tests that want a systemd run where there can be one."""
    reason = why_not()
    if reason:
        pytest.skip(reason)


@pytest.fixture
def machine(systemd_or_skip: None, tmp_path: Path) -> Iterator[Machine]:
    """A machine with certfleet's units, alone with this thread in a network."""
    with Network([]), Machine(tmp_path / "machine") as booted:
        yield booted


@pytest.fixture
def central(machine: Machine, tmp_path: Path) -> Iterator[Central]:
    """The issuer on it, set up, with its BIND and its Pebble."""
    with Lab(tmp_path) as lab:
        yield Central(machine, lab)
