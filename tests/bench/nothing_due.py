"""The daily run when nothing is due, on tables of 1 to 100,000 rows, and how the database finds that out."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.bench.contender import Certfleet, issuer_command
from tests.bench.measure import Sample, Stopwatch, spread, times
from tests.bench.scene import World, spare_authority
from tests.bench.tables import sample_cells, table
from tests.issuer.signing_requests import csr
from tests.servers.database import Database, SqliteDatabase

DAY = 86400
GROWING = re.compile(r"\b(certs|orders|versions|events|installations)\b")
HEAD = ("rows", "wall ratio", "CPU ratio", "wall s", "CPU s", "peak MB")


@dataclass(frozen=True, slots=True)
class Explained:
    """One query, from its FROM on, and how the database would answer it."""

    query: str
    steps: tuple[str, ...]

    def __str__(self) -> str:
        return f"{'; '.join(self.steps)}  ←  {self.query}"

    @property
    def reads_everything(self) -> bool:
        """Is a whole table read that grows with the fleet? The journal of challenges may be: it is what is open. So may
        the rows in portions, in the order of their names: a run looks at the seal of each."""
        in_portions = "ORDER BY certs.name" in self.query and "LIMIT" in self.query
        return not in_portions and any(step.startswith("SCAN") and GROWING.search(step) for step in self.steps)


@dataclass(slots=True)
class Idle:
    """The runs on one engine, by number of rows, and the plans of its queries on the largest table."""

    engine: str
    samples: dict[int, list[Sample]] = field(default_factory=dict)
    plans: list[Explained] = field(default_factory=list)

    @property
    def scans(self) -> list[Explained]:
        return [plan for plan in self.plans if plan.reads_everything]

    def ratios(self, rows: int, *, cpu: bool = False) -> list[float]:
        """Against the smallest table, round by round."""
        runs, smallest = self.samples[rows], self.samples[min(self.samples)]
        return [
            (one.cpu / other.cpu) if cpu else (one.wall / other.wall) for one, other in zip(runs, smallest, strict=True)
        ]

    def text(self) -> str:
        lines = [
            [f"{rows:,}", spread(self.ratios(rows), times), spread(self.ratios(rows, cpu=True), times), *cells]
            for rows, cells in ((rows, sample_cells(samples)) for rows, samples in self.samples.items())
        ]
        verdict = [f"  READS THE WHOLE TABLE: {scan}" for scan in self.scans] or [
            "  no query reads a whole table, but for the look at the seals"
        ]
        plans = [f"  plan: {plan}" for plan in self.plans]
        return "\n".join([f"Nothing due, {self.engine}", table(HEAD, lines), *plans, *verdict, ""])


def measure(
    engine: str, databases: dict[int, Database], folder: Path, world: World, *, stopwatch: Stopwatch, rounds: int
) -> Idle:
    """Fill each database, then let the daily runs take turns over the sizes."""
    idle = Idle(engine, {rows: [] for rows in databases})
    issuers = {}
    for rows, database in databases.items():
        issuers[rows] = Certfleet(folder / f"{engine}-{rows}", world, [], database)
        fill(database, rows)
        issuers[rows].run_here("adopt", "--all", "--yes")
    for number in range(rounds + 1):
        for rows, issuer in issuers.items():
            sample = stopwatch.time([issuer_command(issuer.config, "run")], issuer.environment)
            if sample.codes != (0,):
                raise RuntimeError(f"the run over {rows} rows with nothing due ended with {sample.codes}")
            if number:  # the first round only warms everything up
                idle.samples[rows].append(sample)
    with plans_told() as told:
        issuers[max(issuers)].run_here()
    idle.plans = list(dict.fromkeys(told))
    return idle


def fill(database: Database, rows: int) -> None:
    """*rows* certificates with weeks to live, each with the order that brought it, long ended."""
    request = csr(["filler.bench.test"])
    issued = spare_authority().sign(request)
    now = int(time.time())
    name = "REPLACE('hostNUMBER.bench.test', 'NUMBER', SUBSTR(1000000 + seq, 2))"
    blobs = ", ".join(f"X'{content.hex()}'" for content in (request, issued.cert_pem, issued.chain_pem))
    certs = "name, enable, certbot, csr, crt, ca, ts_expire, ts_last_update, count_fail_update, directory, due_at"
    dates = f"{now + 90 * DAY}, {now - 3600}, 0, 'https://ca.bench.test/dir', {now + 40 * DAY} + seq"
    orders = "name, state, directory, created_at, updated_at"
    order = f"{name}, 'STORED', 'https://ca.bench.test/dir', {now - 3600} - seq, {now - 3600} - seq"
    for into, values in ((f"certs ({certs})", f"{name}, 'Y', 'N', {blobs}, {dates}"), (f"orders ({orders})", order)):
        database.execute(f"INSERT INTO {into} SELECT {values} FROM {_numbers(rows)}")  # noqa: S608 - words of our own
    if not isinstance(database, SqliteDatabase):
        # a server counts seconds later; until then it plans for the empty table that it remembers
        database.query("ANALYZE TABLE certs, orders")


def _numbers(last: int) -> str:
    """What to select `seq` from, 1 to *last*, in the SQL that every engine understands: each place has ten digits."""
    digits = " UNION ALL ".join(f"SELECT {digit} AS digit" for digit in range(10))
    places = range(len(str(last)))
    value = " + ".join(f"p{place}.digit * {10**place}" for place in places)
    tables = ", ".join(f"({digits}) AS p{place}" for place in places)
    return f"(SELECT {value} AS seq FROM {tables}) AS n WHERE seq BETWEEN 1 AND {last}"  # noqa: S608 - numbers


@contextmanager
def plans_told() -> Iterator[list[Explained]]:
    """While this is open, every SELECT of this process is explained first, by its own connection."""
    told: list[Explained] = []

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        if not statement.lstrip().upper().startswith("SELECT"):
            return
        sqlite = connection.dialect.name == "sqlite"
        cursor = connection.connection.cursor()
        try:
            cursor.execute(f"EXPLAIN {'QUERY PLAN' if sqlite else 'FORMAT=TRADITIONAL'} {statement}", parameters)
            columns = [column[0] for column in cursor.description]
            found = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        finally:
            cursor.close()
        query = " ".join(statement.partition("FROM")[2].split())
        told.append(Explained(query, tuple(str(row["detail"]) if sqlite else _server_step(row) for row in found)))

    sa.event.listen(sa.Engine, "before_cursor_execute", explain)
    try:
        yield told
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", explain)


def _server_step(row: Mapping[str, Any]) -> str:
    """A line of EXPLAIN, as MariaDB and MySQL have it."""
    if row["table"] is None:
        return f"no table ({row['Extra']})"
    way = "SCAN" if row["type"] in ("ALL", "index") else "SEARCH"
    return f"{way} {row['table']} ({row['type']}) USING INDEX {row['key']}, about {row['rows']} rows"
