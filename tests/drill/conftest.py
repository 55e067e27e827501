"""A machine of its own for each daemon of the drill; without one these tests are skipped, and say why."""

from collections.abc import Iterator

import pytest

from tests.deploy.machine import Machine
from tests.drill.daemons import DAEMONS
from tests.drill.drill import Drill
from tests.servers.network import Network
from tests.servers.systemd import why_not


@pytest.fixture(scope="module", params=list(DAEMONS.values()), ids=list(DAEMONS))
def drill(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """A daemon of Debian's with its first certificate; the tests of a module go one after another on one machine."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with Network([]), Machine(tmp_path_factory.mktemp("drill") / "machine") as machine:
        yield Drill(machine, request.param)


@pytest.fixture(autouse=True)
def mended(drill: Drill) -> Iterator[None]:
    """Each test begins with a daemon that shows what the agent installed last."""
    yield
    drill.restore()
