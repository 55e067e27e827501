"""The real servers as fixtures. A missing program fails the test by naming its Debian package; it skips none.
A test that skips for another reason fails in CI."""

import gc
import itertools
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

# The package `tests` lies beside the product's, and the `pytest` command does not look there by itself.
sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.issuer.statements import share_compiled
from tests.servers.bind import Bind
from tests.servers.database import Database, SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.mariadb import MariaDB
from tests.servers.mysql import MAKES, MySQL
from tests.servers.pebble import Pebble
from tests.servers.ports import LOOPBACK, free_port, release_port
from tests.servers.sql_server import SqlServer
from tests.skips import pytest_runtest_makereport  # noqa: F401 - pytest finds it here

# A machine that is busy with other servers is slow now and then; that is no finding
too_slow = [hypothesis.HealthCheck.too_slow]
# the same examples at each run, for a change must not fail by what it did not touch; `make soak` tries new ones
hypothesis.settings.register_profile(
    "certfleet", deadline=None, suppress_health_check=too_slow, derandomize=True, max_examples=25
)
hypothesis.settings.register_profile("random", deadline=None, suppress_health_check=too_slow, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("CERTFLEET_EXAMPLES", "certfleet"))

share_compiled()

# Files whose tests share something that is dear to make: they meet in one process, which begins with them.
TOGETHER = {
    "tests/test_architecture.py",
    "tests/test_packaging.py",
    "tests/issuer/crash/test_kill_everywhere.py",
    "tests/issuer/dns/test_dns_real_world.py",
    "tests/issuer/test_database_away.py",
    "tests/drill/test_esxi.py",
}
DRILL = "tests/drill/test_drill.py"  # with a machine for each daemon; its name begins the test's parameters

# What takes seconds begins first and what takes milliseconds comes last, so that all processes end together.
FIRST = ("tests/trust/", "tests/deploy/", "tests/agent/", "tests/issuer/crash/", "tests/issuer/daemon/")
LAST = ("tests/issuer/journey/", "tests/issuer/rules/", "tests/properties/")

# Of so many cases of a test that is marked `sampled` one is for `make test`, the others are for `make soak`: each value
# of most parameters has its turn, for the number of those has no factor in common with this.
SAMPLED = 7
ENGINES = ("sqlite", *MAKES)
# Where `make test` has each test of the fixture `database` on every engine; elsewhere each has one of them, in turn.
ON_EACH_ENGINE = ("tests/issuer/store/", "tests/issuer/contracts/", "tests/agent/test_agent_sources.py")

gc.disable()  # until all is collected: nothing of that becomes garbage


class Together(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out one test at a time, but the tests of each file of TOGETHER as one piece of work, the largest first, and
    those of the drill with one daemon.

    The groups of `--dist loadgroup` do nothing: pytest-xdist 3.8 marks them in an attribute that pytest 9.2 ignores.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file == DRILL:
            return f"{file}[{nodeid.partition('[')[2].rstrip(']').partition('-')[0]}"
        return file if file in TOGETHER else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Together:
    """How tests are shared out to processes."""
    return Together(config, log)


@pytest.hookimpl(tryfirst=True)  # before tests are left out by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests as FIRST and LAST say; those of one file stay together. Of cases that are `sampled`, and of those
    that differ by the engine of the database, some wait for `make soak`."""
    cases: Counter[str] = Counter()
    engines: dict[str, str] = {}
    turns = itertools.cycle(ENGINES)
    for item in items:
        test = item.nodeid.partition("[")[0]
        if item.get_closest_marker("sampled"):
            if cases[test] % SAMPLED:
                item.add_marker(pytest.mark.soak)
            cases[test] += 1
        elif (engine := _engine(item)) and not test.startswith(ON_EACH_ENGINE):
            if test not in engines:
                engines[test] = next(turns)
            if engine != engines[test]:
                item.add_marker(pytest.mark.soak)
    items.sort(key=lambda item: item.nodeid.startswith(LAST) - item.nodeid.startswith(FIRST))


def _engine(item: pytest.Item) -> str:
    """That of the fixture `database`; "" for a test without it."""
    case = getattr(item, "callspec", None)
    return str(case.params.get("database", "")) if case is not None else ""


def pytest_collection_finish() -> None:
    """From here on garbage is collected, but what the tests share, half a million objects, is not looked through."""
    gc.enable()
    gc.freeze()


@pytest.fixture(autouse=True)
def fresh_logging() -> None:
    """A command run in this process sets logging up for itself; the next test finds it as it was."""
    structlog.reset_defaults()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, as /etc and /var/lib: what lies there has its own rights. None of pytest's,
    which another pytest of the same user closes when it begins."""
    with tempfile.TemporaryDirectory(prefix="certfleet-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def bind(tmp_path: Path) -> Iterator[Bind]:
    """A fresh BIND, running, without zones: describe some, then `reconfigure`."""
    with Bind(tmp_path / "bind") as server:
        yield server


@pytest.fixture(scope="session")
def shared_pebble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """One Pebble for all tests of this worker; it asks whatever BIND runs at its `dns`."""
    dns_port = free_port()
    with Pebble(tmp_path_factory.mktemp("pebble"), f"{LOOPBACK}:{dns_port}") as server:
        yield server
    release_port(dns_port)


@pytest.fixture
def lab(tmp_path: Path, shared_pebble: Pebble) -> Iterator[Lab]:
    """A fresh BIND and a Pebble that asks it, both running."""
    with Lab(tmp_path, shared=shared_pebble) as servers:
        yield servers


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """One MariaDB for all tests of this worker: ask it for a database of your own, and leave it running."""
    with MariaDB() as server:
        yield server


@pytest.fixture(scope="session")
def mysql() -> Iterator[MySQL]:
    """One MySQL in the same way."""
    with MySQL() as server:
        yield server


@pytest.fixture(params=MAKES)
def sql_server(request: pytest.FixtureRequest) -> SqlServer:
    """The server that all tests of this worker share, once of each make that is here."""
    server: SqlServer = request.getfixturevalue(request.param)
    return server


@pytest.fixture(params=["sqlite", *MAKES])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An empty database, once of each engine."""
    if request.param == "sqlite":
        return SqliteDatabase(tmp_path)
    server: SqlServer = request.getfixturevalue(request.param)
    return server.create_database()
