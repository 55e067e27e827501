"""The issuer's own view of a database, for tests of the store alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from issuer.model.enrolment import Validation
from issuer.rules.csr import read_csr
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.issuer.store.opened import NAME, NOW, opened
from tests.servers import database as servers
from tests.servers.database import Database as Server
from tests.servers.database import SqliteDatabase
from tests.servers.mysql import MAKES
from tests.servers.sql_server import SqlServer


@pytest.fixture
def store(database: servers.Database, tmp_path: Path) -> Iterator[Database]:
    """A migrated database with one certificate enrolled."""
    Box(tmp_path / "box", database).set_up()
    made = opened(database)
    Certificates(made).enrol(NAME, read_csr(csr([NAME])), comment="", validation=Validation(), now=NOW)
    yield made
    made.close()


@pytest.fixture(params=[*(f"{make} {engine}" for make in MAKES for engine in ("InnoDB", "MyISAM")), "sqlite"])
def legacy(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Server, str]:
    """A database without tables, and the engine that the legacy table is to have."""
    if request.param == "sqlite":
        return SqliteDatabase(tmp_path), "sqlite"
    make, engine = request.param.split()
    server: SqlServer = request.getfixturevalue(make)
    return server.create_database(), engine
