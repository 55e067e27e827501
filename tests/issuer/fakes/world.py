"""A whole world in memory, and issuer processes in it: CAs, zones and a database, by one clock that stands still."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from common.check_line import Line
from common.clock import Clock
from issuer.dns.dns01 import Dns01
from issuer.journey.attempt import Attempt
from issuer.journey.looks import left_alone, planned_looks
from issuer.journey.pacing import OrderCounts, Pacing
from issuer.journey.ports import (
    CertificateAuthority,
    ChallengeJournal,
    HoldStore,
    Looks,
    OrderStore,
    Seals,
    Tools,
)
from issuer.journey.rows import ApprovalStore, CertificateStore
from issuer.journey.solver import Solver
from issuer.journey.sweep import sweep
from issuer.model.config import AcmeSettings, CaSettings, Settings
from issuer.model.enrolment import DNS, Enrolment, Validation
from issuer.model.events import Event
from issuer.model.orders import OrderRecord, OrderState
from issuer.model.outcomes import Ended
from issuer.model.timing import Timing
from issuer.webroot.http01 import Http01
from tests.issuer.fakes.ca import MemoryCa
from tests.issuer.fakes.calls import Calls
from tests.issuer.fakes.certificates import MemoryApprovals, MemoryCertificates, MemoryHolds
from tests.issuer.fakes.clock import FakeClock
from tests.issuer.fakes.journal import MemoryJournal
from tests.issuer.fakes.looks import MemoryLooks
from tests.issuer.fakes.orders import MemoryCounts, MemoryOrders
from tests.issuer.fakes.records import MemoryRecords
from tests.issuer.fakes.seals import MemorySeals
from tests.issuer.fakes.tables import OrderRow, Tables
from tests.issuer.fakes.zone import MemoryZone
from tests.issuer.signing_requests import csr

NAME = "www.example.test"
CA, OTHER_CA = "https://ca.example/dir", "https://other.example/dir"
_ROUNDS = 1000  # in which each attempt has ended, or never does


class World:
    """*authorities*: by directory URL, in the order in which they are tried; *zones*: by challenge type."""

    def __init__(self, *directories: str) -> None:
        self.clock = FakeClock()
        self.tables = Tables()
        self.records = MemoryRecords(self.clock)
        self.zones = {kind.name: MemoryZone(kind, self.clock) for kind in (Dns01(), Http01())}
        self.zones[self.records.type.name] = self.records
        self.authorities = {each: MemoryCa(each, self.clock, self.zones) for each in directories or (CA,)}
        self.looks: dict[str, Looks] = {}  # by the owner of a process, in whose state folder they are
        self.events: list[Event] = []
        self.dns_faults: dict[str, list[Line]] = {}  # by the DNS name below them
        self.seals = MemorySeals()

    @property
    def ca(self) -> MemoryCa:
        """The first one."""
        return next(iter(self.authorities.values()))

    @property
    def published(self) -> set[str]:
        """Every answer that is out."""
        return set().union(*(zone.values for zone in self.zones.values()))

    @property
    def left(self) -> list[object]:
        """Traces that no order may leave once it is over: answers, journal rows, leases of what is under way."""
        leases = [row.holder for row in self.tables.orders.values() if row.active and row.holder is not None]
        return [*self.published, *self.tables.challenges.values(), *leases]

    def enrol(self, *names: str, label: str = "", http: bool = False, by_dns: Sequence[str] = (), way: str = "") -> str:
        """An enabled row for *names*; its name, which is the first of them unless it has a *label*. *by_dns*: the names
        that are validated by dns-01 although the others are by *http*. *way*: that of all names."""
        name = label or (names or (NAME,))[0]
        exceptions = tuple((each, DNS) for each in by_dns)
        validation = (
            Validation(certbot=True, webroot_path="/var/www", exceptions=exceptions) if http else Validation(way=way)
        )
        self.tables.certs[name] = Enrolment(
            name=name,
            enabled=True,
            validation=validation,
            csr=csr(names or (NAME,)),
            crt=b"",
            ca=b"",
            ts_expire=1,
            ts_last_update=1,
            failures=0,
            due_at=None,
            reissue_reason="",
        )
        return name

    def row(self, name: str = NAME) -> Enrolment:
        return self.tables.row(name)

    def change(self, name: str = NAME, **values: object) -> None:
        """As another program would, past the product."""
        self.tables.certs[name] = replace(self.tables.certs[name], **values)  # type: ignore[arg-type]

    def plant(
        self, name: str = NAME, *, lease_owner: str | None = None, lease_until: int = 0, **values: object
    ) -> None:
        """As another program would: an order under way, or other fields of the one that is."""
        found = self.tables.active(name)
        planted = OrderRecord(next(self.tables.numbers), name, OrderState.PLANNED, self.ca.directory, int(self.clock()))
        record = replace(found.record if found else planted, sealed=False)
        words = {field: OrderState(value) if field == "state" else value for field, value in values.items()}
        record = replace(record, **words)  # type: ignore[arg-type]
        self.tables.orders[record.id] = OrderRow(record, (name,), lease_owner, lease_until, 0)

    def forget_what_was(self) -> None:
        """So that what is counted from here on is of this scene: orders and certificates of before."""
        self.tables.orders.clear()
        self.tables.versions.clear()
        for ca in self.authorities.values():
            ca.opened.clear()

    def process(self, owner: str = "one", *, quick_tries: int = 0) -> "Process":
        """A new issuer process; one with the same *owner* takes over what a dead one before it has held."""
        return Process(self, owner, Timing(quick_tries=quick_tries))


@dataclass
class Process:
    """One issuer, whose every call can be disturbed by `calls`."""

    world: World
    owner: str
    timing: Timing
    calls: Calls = field(default_factory=Calls)
    tools: Tools = field(init=False)

    def __post_init__(self) -> None:
        world, watch = self.world, self.calls.watch
        orders: OrderStore = MemoryOrders(world.tables, self.owner)
        certificates: CertificateStore = watch("certificates", MemoryCertificates(world.tables))
        approvals: ApprovalStore = MemoryApprovals(world.tables)
        journal: ChallengeJournal = MemoryJournal(world.tables, self.owner)
        holds: HoldStore = MemoryHolds(world.tables)
        seals: Seals = world.seals
        counts: OrderCounts = MemoryCounts(world.tables)
        authorities: dict[str, CertificateAuthority] = {**world.authorities}
        solvers: dict[str, Solver] = {**world.zones}
        clock: Clock = world.clock
        settings = Settings(acme=_acme(list(world.authorities)))
        self.tools = Tools(
            settings=settings,
            authorities={each: watch("ca", ca) for each, ca in authorities.items()},
            solvers={kind: watch("zone", solver) for kind, solver in solvers.items()},
            certificates=certificates,
            outcomes=certificates,
            approvals=watch("approvals", approvals),
            seals=seals,
            looks=world.looks.setdefault(self.owner, MemoryLooks()),
            orders=watch("orders", orders),
            journal=watch("journal", journal),
            holds=watch("holds", holds),
            pacing={ca.directory: Pacing(ca.directory, ca.limits, counts) for ca in settings.authorities},
            caa=lambda _: [],
            faults_from_root=lambda names: [line for name in names for line in world.dns_faults.get(name, ())],
            clock=clock,
            timing=self.timing,
            tell=world.events.append,
        )

    def attempt(self, name: str = NAME, *, stopping: bool = False) -> Ended:
        """One attempt to its end; time passes as it wants to wait."""
        attempt = Attempt(self.world.row(name), self.tools, stopping=lambda: stopping)
        for _ in range(_ROUNDS):
            outcome = attempt.proceed()
            if isinstance(outcome, Ended):
                return outcome
            self.world.clock.wait_until(outcome.at)
        raise AssertionError(f"the attempt at {name} does not end")

    def run(self) -> dict[str, Ended]:
        """What `run` does, one certificate after the other: clean up, then try what is due or was left under way."""
        tools, now = self.tools, int(self.world.clock())
        tools.orders.let_go_left()
        sweep(tools)
        left = [record.name for record in tools.orders.under_way(now)]
        due = {row.name: row for row in tools.certificates.due(now)}
        rows = due | {row.name: row for row in tools.certificates.enrolled(left)}
        rows |= {row.name: row for row in planned_looks(tools.looks, tools.certificates, rows, now)}
        wanted = [row.name for row in rows.values() if left_alone(row, tools, resumes=row.name in left) is None]
        return {name: self.attempt(name) for name in wanted}


def _acme(directories: Sequence[str]) -> AcmeSettings:
    return AcmeSettings(directory=directories[0], fallback=tuple(map(_fallback, directories[1:])))


def _fallback(directory: str) -> CaSettings:
    return CaSettings(directory=directory)
