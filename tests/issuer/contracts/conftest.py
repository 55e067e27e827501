"""The fakes beside the real adapters: each contract test runs on all of them.

The servers are made once for a module, the migrated tables once for all; each test has names of its own, or empty
tables.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from common.certificate import Bundle, serial_text
from common.config_file import load
from issuer.commands.wiring import build_tools
from issuer.journey.pacing import OrderCounts
from issuer.journey.ports import (
    CertificateAuthority,
    ChallengeJournal,
    HoldStore,
    OrderStore,
    Tools,
)
from issuer.journey.rows import ApprovalStore, CertificateStore
from issuer.journey.solver import Solver
from issuer.loops.audit import AuditStore
from issuer.model.config import Settings
from issuer.model.enrolment import AT_ONCE, Change, Enrolment, Validation
from issuer.model.limits import Limit
from issuer.rules.csr import read_csr
from issuer.store import migrate
from issuer.store.approvals import Approvals
from issuer.store.audits import Audits
from issuer.store.certificates import Certificates
from issuer.store.counts import Counts, CountsAtOnce
from issuer.store.database import Database
from issuer.store.holds import Holds
from issuer.store.journal import Journal
from issuer.store.orders import Orders
from issuer.store.revision import open_database
from issuer.store.tables import certs, challenges, events, holds, orders, versions
from tests.issuer.box import Box
from tests.issuer.fakes.audits import MemoryAudits
from tests.issuer.fakes.certificates import MemoryApprovals, MemoryCertificates, MemoryHolds
from tests.issuer.fakes.journal import MemoryJournal
from tests.issuer.fakes.orders import MemoryCounts, MemoryOrders
from tests.issuer.fakes.world import World
from tests.issuer.signing_requests import csr
from tests.issuer.store.opened import NAME, NOW, opened, seals_in
from tests.servers.database import Database as Server
from tests.servers.database import SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.mysql import MAKES
from tests.servers.pebble import Pebble
from tests.servers.process import wait_until

OTHER = "other.example.test"
_numbers = itertools.count()


@dataclass
class Stores:
    """What several issuers see of one database, in which NAME and OTHER are enrolled and enabled."""

    certificates: CertificateStore
    approvals: ApprovalStore
    audits: AuditStore
    holds: HoldStore
    counts: OrderCounts
    orders: Callable[[str], OrderStore]  # by owner
    journal: Callable[[str], ChallengeJournal]
    change: Callable[..., None]  # columns of a certificate's row by its name, as another program would
    wait: Callable[[str, bytes], object]  # another CSR for a row waits
    plant: Callable[..., None]  # columns of the order under way for NAME, as another program would; leases end


@pytest.fixture(scope="session")
def migrated() -> Iterator[dict[str, Database]]:
    """Tables by their engine, migrated once in a process: an upgrade takes a fifth of a second on a server."""
    databases: dict[str, Database] = {}
    yield databases
    for database in databases.values():
        database.close()


@pytest.fixture(scope="module", params=["memory", "sqlite", *MAKES])
def tables(
    request: pytest.FixtureRequest, migrated: dict[str, Database], tmp_path_factory: pytest.TempPathFactory
) -> Database | None:
    """Migrated tables in each engine, with what the test before has left; None for memory."""
    if request.param == "memory":
        return None
    if request.param not in migrated:
        server: Server = SqliteDatabase(tmp_path_factory.mktemp("contracts"))
        if request.param != "sqlite":
            server = request.getfixturevalue(request.param).create_database()
        database = opened(server)
        migrate.upgrade(database)
        migrated[request.param] = database
    return migrated[request.param]


def _empty(connection: sa.Connection) -> None:
    for table in (certs, orders, challenges, versions, events, holds):
        connection.execute(sa.delete(table))


BY_FILES = Validation(way="/srv/www")  # of a change; the rows go by their zones


@pytest.fixture
def stores(tables: Database | None, tmp_path: Path) -> Stores:
    """Empty but for the two rows."""
    if tables is None:
        return _in_memory()
    tables.write(_empty)
    certificates = Certificates(tables, sign=signed)
    for name in (NAME, OTHER):
        certificates.enrol(name, read_csr(csr([name])), comment="", validation=Validation(), now=NOW)
    certificates.set_enabled([NAME, OTHER], True, NOW)
    return Stores(
        certificates,
        Approvals(tables, sign=signed),
        Audits(tables),
        Holds(tables),
        BothCounts(tables),
        lambda owner: Orders(tables, owner, seals_in(tmp_path)),
        lambda owner: Journal(tables, owner),
        partial(_change, tables),
        lambda name, wanted: tables.write(
            lambda connection: connection.execute(
                certs.update()
                .where(certs.c.name == name)
                .values(change_csr=wanted, change_due_at=AT_ONCE, change_validations=BY_FILES.ways_text)
            )
        ),
        partial(_plant, tables),
    )


class BothCounts:
    """OrderCounts: Counts, after CountsAtOnce has given the same answer."""

    def __init__(self, database: Database):
        self._database = database

    def orders(self, directory: str, limit: Limit, now: int, *, besides: int) -> list[int]:
        one, all_at_once = Counts(self._database), CountsAtOnce(self._database)
        answer = one.orders(directory, limit, now, besides=besides)
        assert all_at_once.orders(directory, limit, now, besides=besides) == answer
        return answer

    def certificates(
        self, directory: str, limit: Limit, now: int, *, besides: int, names: Sequence[str], domain: str
    ) -> tuple[list[int], int]:
        one, all_at_once = Counts(self._database), CountsAtOnce(self._database)
        answer = one.certificates(directory, limit, now, besides=besides, names=names, domain=domain)
        assert all_at_once.certificates(directory, limit, now, besides=besides, names=names, domain=domain) == answer
        return answer


def signed(name: str, bundle: Bundle, before: str, now: int, *, older: bool) -> str:
    """A statement that tells what was handed over."""
    return f"{name} {serial_text(bundle.leaf)} at {now} after ({before}){' older' * older}"


def _plant(database: Database, **values: object) -> None:
    change = orders.update().where(orders.c.active_name == NAME).values({"lease_owner": None, **values})
    database.write(lambda connection: connection.execute(change))


def _change(database: Database, name: str, **values: object) -> None:
    database.write(lambda connection: connection.execute(certs.update().where(certs.c.name == name).values(**values)))


def _in_memory() -> Stores:
    world = World()
    for name in (NAME, OTHER):
        world.enrol(name)
    return Stores(
        MemoryCertificates(world.tables, signed),
        MemoryApprovals(world.tables, signed),
        MemoryAudits(world.tables),
        MemoryHolds(world.tables),
        MemoryCounts(world.tables),
        lambda owner: MemoryOrders(world.tables, owner),
        lambda owner: MemoryJournal(world.tables, owner),
        world.change,
        lambda name, wanted: world.change(name, change=Change(wanted, AT_ONCE, validation=BY_FILES)),
        world.plant,
    )


@dataclass
class Ground:
    """A CA, and a solver whose answers it sees. *wait*: until something is so, of what takes its time there."""

    tools: Tools
    enrol: Callable[..., str]
    wait: Callable[[Callable[[], bool]], None]

    @property
    def ca(self) -> CertificateAuthority:
        return next(iter(self.tools.authorities.values()))

    @property
    def solver(self) -> Solver:
        return self.tools.solvers["dns-01"]

    def row(self, *names: str) -> Enrolment:
        """A certificate for names that no other test has: *names* are the labels before the common part."""
        common = f"c{next(_numbers)}.lab.test"
        [row] = self.tools.certificates.get([self.enrol(*(f"{name}.{common}" for name in names or ("www",)))])
        return row


@pytest.fixture(scope="module", params=["memory", "bind and pebble"])
def ground(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """In memory, where everything takes a second of the fake clock; and real."""
    if request.param == "memory":
        world = World()
        world.zones["dns-01"].delay = world.ca.validation_seconds = world.ca.signing_seconds = 1.0
        yield Ground(world.process().tools, world.enrol, lambda condition: _pass_time(world, condition))
        return
    folder: Path = tmp_path_factory.mktemp("contracts")
    pebble: Pebble = request.getfixturevalue("shared_pebble")
    with Lab(folder, shared=pebble) as lab:
        box = Box(folder / "box", SqliteDatabase(folder), bind=lab.bind, pebble=lab.pebble)
        box.set_up()
        settings = load(Settings, box.config)
        database = open_database(settings.database)
        yield Ground(build_tools(settings, database), box.enrol, lambda condition: wait_until(condition, "it is so"))
        database.close()


def _pass_time(world: World, condition: Callable[[], bool]) -> None:
    for _ in range(10):
        if condition():
            return
        world.clock.wait_until(world.clock() + 1)
    raise AssertionError("it never is so")
