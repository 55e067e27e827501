"""What HostStore promises."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from agent.model.result import Outcome
from issuer.commands.reports import Reports
from issuer.loops.hosts import HostStore
from issuer.model.config import Settings
from issuer.model.config_watch import HostSettings
from issuer.model.enrolment import Validation
from issuer.model.hosts import Report
from issuer.rules.csr import read_csr
from issuer.rules.hosts import WELL_WORDS
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.tables import certs, installations
from tests.issuer.fakes.hosts import MemoryHosts
from tests.issuer.signing_requests import csr
from tests.issuer.store.opened import NAME, NOW

DAY = 86400
SETTINGS = HostSettings()
REPORT = Report(NAME, "web1", "agent-web1", "a" * 64, NOW + 30 * DAY, "installed", NOW - 60)


@dataclass
class Reported:
    """A store of hosts, and what others do to its tables."""

    store: HostStore
    put: Callable[[Report], object]
    lose: Callable[[Report], object]
    stored: Callable[[int], object]  # a certificate of NAME was stored at that moment

    def suspects(self, now: int = NOW) -> list[str]:
        return self.store.suspects(now, SETTINGS)


@pytest.fixture
def hosts(tables: Database | None, tmp_path: Path) -> Reported:
    """No report; NAME is enrolled."""
    if tables is None:
        memory = MemoryHosts()
        return Reported(
            memory,
            lambda report: memory.table.update({report.key: report}),
            lambda report: memory.table.pop(report.key),
            lambda moment: memory.behind.update({NAME: moment}),
        )

    def execute(statement: sa.Executable) -> None:
        tables.write(lambda connection: connection.execute(statement))

    def lose(report: Report) -> None:
        columns = installations.c
        execute(installations.delete().where(columns.name == report.name, columns.host == report.host))

    def put(report: Report) -> None:
        lose(report)
        row: dict[str, object] = dict(zip(("name", "host", "account"), report.key, strict=True))
        row |= {
            "sha256": report.sha256,
            "not_after": report.not_after,
            "state": report.state,
            "ts_report": report.reported_at,
        }
        execute(installations.insert().values(**row, detail=""))

    execute(installations.delete())
    execute(certs.delete())
    Certificates(tables).enrol(NAME, read_csr(csr([NAME])), comment="", validation=Validation(), now=NOW)
    return Reported(
        Reports(Settings(state_dir=tmp_path), tables),
        put,
        lose,
        lambda moment: execute(certs.update().where(certs.c.name == NAME).values(hosts_look_at=moment)),
    )


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("change", "suspect"),
    [
        ({}, False),
        *(({"state": outcome.value}, outcome.value not in WELL_WORDS) for outcome in Outcome),
        *(({"state": word}, True) for word in ("", "a-word-of-tomorrow", "zzz")),
        ({"not_after": NOW - 1}, True),
        ({"reported_at": NOW - SETTINGS.silent - 1}, True),
        ({"state": "failed", "reported_at": NOW - SETTINGS.forget - 1}, False),
    ],
    ids=str,
)
def test_who_may_not_be_well(hosts: Reported, change: dict[str, object], suspect: bool) -> None:
    """By the word of the last report, or for want of one; not one that was taken down long ago."""
    hosts.put(replace(REPORT, **change))  # type: ignore[arg-type]
    assert hosts.suspects() == [NAME] * suspect


def test_a_report_that_the_table_loses(hosts: Reported) -> None:
    """No look at the table finds what is not there: `recall` does, until the report is there again."""
    hosts.put(REPORT)
    assert hosts.store.reports([NAME], NOW) == {NAME: [REPORT]}
    hosts.lose(REPORT)
    assert hosts.suspects() == []
    hosts.store.recall(NOW)
    assert hosts.suspects() == [NAME]
    [gone] = hosts.store.reports([NAME], NOW)[NAME]
    assert (gone.key, gone.gone, gone.reported_at) == (REPORT.key, True, REPORT.reported_at)
    back = replace(REPORT, reported_at=NOW)
    hosts.put(back)
    hosts.store.settle([back])
    hosts.store.recall(NOW)
    assert hosts.suspects() == []


def test_recall_needs_no_look_before(hosts: Reported) -> None:
    """It remembers what nobody has read."""
    hosts.put(REPORT)
    hosts.store.recall(NOW)
    hosts.lose(REPORT)
    hosts.store.recall(NOW)
    assert hosts.suspects() == [NAME]


def test_a_report_of_another_certificate(hosts: Reported) -> None:
    """It is looked at until it is settled, whoever reads it before; and so is a first one."""
    for report in (REPORT, replace(REPORT, sha256="b" * 64), REPORT):
        hosts.put(report)
        for _ in range(2):
            hosts.store.reports([NAME], NOW)
            hosts.store.recall(NOW)
            assert hosts.suspects() == [NAME]
        hosts.store.settle([report])
        hosts.put(replace(report, reported_at=NOW))
        hosts.store.recall(NOW)
        assert hosts.suspects() == []


def test_a_report_from_the_future(hosts: Reported) -> None:
    """It counts as of the moment at which it was seen first, so that a host cannot be well in advance."""
    ahead = replace(REPORT, reported_at=NOW + 3600)
    hosts.put(ahead)
    for now in (NOW, NOW + 600):
        assert hosts.store.reports([NAME], now) == {NAME: [replace(ahead, reported_at=NOW)]}


def test_all_follow(hosts: Reported) -> None:
    """A certificate that was stored since is looked at for it once more."""
    late = NOW + SETTINGS.behind
    hosts.stored(NOW)
    assert hosts.suspects(late - 1) == []
    assert hosts.suspects(late) == [NAME]
    hosts.store.all_follow([NAME], late - 1, SETTINGS.behind)
    assert hosts.suspects(late) == [NAME]
    hosts.store.all_follow([NAME], late, SETTINGS.behind)
    assert hosts.suspects(late) == []


def test_a_certificate_that_was_stored_by_a_clock_ahead(hosts: Reported) -> None:
    """Its hosts are looked at now, and no more once they follow."""
    hosts.stored(NOW + 86400)
    assert hosts.suspects(NOW) == [NAME]
    hosts.store.all_follow([NAME], NOW, SETTINGS.behind)
    assert hosts.suspects(NOW) == []
