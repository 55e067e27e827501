"""Central boxes in the makes the tests want: with servers or without, over SQLite or over both databases, and with a CA
that can be made to misbehave."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from issuer.dns.find import resolvers
from issuer.dns.servers import configured_servers
from tests.issuer.box import NOBODY, Box
from tests.issuer.host_reports import NAME, take_in
from tests.servers.ca_proxy import CaProxy
from tests.servers.database import Database, SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.sql_server import SqlServer


@pytest.fixture(autouse=True)
def resolver_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody, also for a test that builds its settings itself: what passes must pass wherever the machine stands."""
    monkeypatch.setattr(resolvers, "_listed_in", lambda _: configured_servers("resolvers", [NOBODY]))


@pytest.fixture
def box(lab: Lab, tmp_path: Path) -> Box:
    """A box over SQLite that is set up, with its BIND and its Pebble running."""
    made = Box(tmp_path / "box", SqliteDatabase(tmp_path), bind=lab.bind, pebble=lab.pebble)
    made.set_up()
    return made


@pytest.fixture
def resolving_box(lab: Lab, tmp_path: Path) -> Box:
    """The same, whose resolver is the test's own BIND."""
    made = Box(tmp_path / "box", SqliteDatabase(tmp_path), bind=lab.bind, pebble=lab.pebble)
    made.write(dns={"resolvers": [lab.bind.endpoint]})
    made.set_up()
    return made


@pytest.fixture
def either_box(lab: Lab, database: Database, tmp_path: Path) -> Box:
    """The same, once over SQLite and once over MariaDB: for what its statements make of each."""
    made = Box(tmp_path / "box", database, bind=lab.bind, pebble=lab.pebble)
    made.set_up()
    return made


@pytest.fixture
def server_box(lab: Lab, sql_server: SqlServer, tmp_path: Path) -> Box:
    """The same over a database server: for whole ways, which other tests go over SQLite."""
    made = Box(tmp_path / "box", sql_server.create_database(), bind=lab.bind, pebble=lab.pebble)
    made.set_up()
    return made


@pytest.fixture
def lone_box(tmp_path: Path) -> Box:
    """A box over SQLite that is set up and has no servers at all: what it does must need none."""
    made = Box(tmp_path / "box", SqliteDatabase(tmp_path))
    made.set_up()
    return made


@pytest.fixture
def proxy(lab: Lab, tmp_path: Path) -> Iterator[CaProxy]:
    """A proxy before Pebble, running; rules may be added at any time."""
    folder = tmp_path / "proxy"
    folder.mkdir()
    with CaProxy(folder, lab.pebble) as running:
        yield running


@pytest.fixture
def proxied(box: Box, proxy: CaProxy) -> Box:
    """A box that uses the proxy as its CA."""
    box.write(acme={"directory": proxy.directory, "ca_bundle": str(proxy.ca_file)})
    return box


@pytest.fixture
def stored(database: Database, tmp_path: Path) -> Box:
    """A box with one certificate that was stored a week ago."""
    box = Box(tmp_path / "box", database)
    box.set_up()
    take_in(box, NAME)
    return box
