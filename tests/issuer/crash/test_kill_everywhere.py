"""kill -9 at every state and inside every step: the next run finishes the same order, and nothing is lost or left.

Every call, also those that only read, and other endings: tests/issuer/journey/test_killed.py, in a world in memory.
"""

import contextlib
import functools
import itertools
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.issuer.crash.killer import killed_run
from tests.servers.ca_proxy import CaProxy
from tests.servers.database import Database, SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.mysql import MAKES
from tests.servers.sql_server import SqlServer

# Every call that touches the world or the database, in the order of the journey; and which one of its calls
STEPS = [
    ("issuer.store.orders:Orders.open", 1),
    ("issuer.ca.client:AcmeCa.open_order", 1),
    ("issuer.store.orders:Orders.save", 1),  # → ORDERED
    ("issuer.store.journal:Journal.add", 1),
    ("issuer.dns.zones:Zones.publish", 1),
    ("issuer.store.orders:Orders.save", 2),  # → PUBLISHED
    ("issuer.dns.zones:Zones.unseen", 1),
    ("issuer.store.orders:Orders.save", 3),  # → VISIBLE
    ("issuer.ca.client:AcmeCa.answer", 1),
    ("issuer.ca.client:AcmeCa.order", 1),
    ("issuer.store.orders:Orders.save", 4),  # → VALIDATED
    ("issuer.ca.client:AcmeCa.finalize", 1),
    ("issuer.store.orders:Orders.save", 5),  # → FINALIZING
    ("issuer.ca.client:AcmeCa.certificate", 1),
    ("issuer.store.certificates:Certificates.store", 1),
    ("issuer.dns.zones:Zones.withdraw", 1),
    ("issuer.store.journal:Journal.forget", 1),
]
# Each instant once: what comes after one of these calls is the moment before the next. A database server makes a
# difference only where a call goes to it, and only once that has returned.
CASES = [("sqlite", *step, "before") for step in STEPS] + [("sqlite", *STEPS[-1], "after")]
CASES += [(engine, *step, "after") for engine in MAKES for step in STEPS if ".store." in step[0]]
_numbers = itertools.count()


@dataclass
class Scene:
    box: Box
    proxy: CaProxy


@pytest.fixture(scope="module")
def scenes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Scene]]:
    """Servers for all cases of one engine: each case has a name of its own."""
    with contextlib.ExitStack() as servers:

        @functools.cache
        def of(engine: str) -> Scene:
            folder = tmp_path_factory.mktemp("crash")
            database: Database = SqliteDatabase(folder)
            if engine != "sqlite":
                server: SqlServer = request.getfixturevalue(engine)
                database = server.create_database()
            lab = servers.enter_context(Lab(folder))
            proxy = servers.enter_context(CaProxy(_made(folder / "proxy"), lab.pebble))
            box = Box(folder / "box", database, bind=lab.bind, pebble=lab.pebble)
            box.write(acme={"directory": proxy.directory, "ca_bundle": str(proxy.ca_file)})
            box.set_up()
            return Scene(box, proxy)

        yield of


@pytest.mark.sampled
@pytest.mark.parametrize("case", CASES, ids=str)
def test_killed_run_is_finished_by_the_next(scenes: Callable[[str], Scene], case: tuple[str, str, int, str]) -> None:
    """One order at the CA, one finalization, one certificate stored, no TXT value and no journal row left."""
    engine, place, nth, when = case
    scene = scenes(engine)
    box = scene.box
    name = box.enrol(f"k{next(_numbers)}.lab.test")
    scene.proxy.seen.clear()
    killed = killed_run(box, place, when, nth)
    assert killed == -signal.SIGKILL, f"{place} was never called {nth} times"
    box.ok("run")
    [(state, url)] = box.orders(name)
    assert state == "STORED"
    assert url
    assert len(scene.proxy.paths("order-plz")) == 1
    assert len(scene.proxy.paths("/finalize-order/")) == 1
    assert box.row(name, "count_fail_update") == (0,)
    assert box.database.query(f"SELECT COUNT(*) FROM versions WHERE name = '{name}'") == [(1,)]  # noqa: S608
    assert box.database.query("SELECT COUNT(*) FROM challenges") == [(0,)]
    assert box.txt(name) == set()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
