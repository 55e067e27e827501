"""A machine of its own for each daemon of the drill. Without systemd these tests are skipped, and say why; in
`make drill` they fail."""

from collections.abc import Iterator

import pytest

from tests.deploy.machine import Machine
from tests.drill.daemons import DAEMONS
from tests.drill.drill import Drill
from tests.servers.network import Network
from tests.servers.systemd import why_not

_EACH = [pytest.param(one, id=name, marks=() if one.short else pytest.mark.drill) for name, one in DAEMONS.items()]


@pytest.fixture(scope="module", params=_EACH)
def machine_with_daemon(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """A daemon of Debian's with its first certificate; the tests of a module go one after another on one machine."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with Network([]), Machine(tmp_path_factory.mktemp("drill") / "machine") as machine:
        yield Drill(machine, request.param)


@pytest.fixture
def drill(machine_with_daemon: Drill, request: pytest.FixtureRequest) -> Drill:
    """It shows what the agent installed last. The test is about the fault of its mark."""
    machine_with_daemon.look_at(request.node.get_closest_marker("fault").args[0])
    machine_with_daemon.restore()
    return machine_with_daemon
