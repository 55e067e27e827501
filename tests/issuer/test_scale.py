"""Many rows: what a look asks does not grow with them, and what a thief adds to the table has a bound."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from common.check_line import Level
from issuer.commands.check import _Report
from issuer.model.audit import Finding, Kind, Severity
from issuer.model.strangers import MOST_TOLD
from issuer.rules.audit_text import table_rows
from issuer.rules.findings import bad, ok
from tests.issuer.box import Box
from tests.issuer.page.fleet import fill, name_of

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
HOUR, DAY = 3600, 86400


@contextlib.contextmanager
def questions() -> Iterator[list[str]]:
    """Every statement to the database, as long as the block lasts."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        asked.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


@pytest.fixture
def fleet(lone_box: Box) -> Box:
    """Forty certificates of another CA than the present one, which has limits."""
    lone_box.write(acme={"directory": LETS_ENCRYPT})
    fill(lone_box, 40)
    lone_box.database.execute(
        "UPDATE certs SET enable = 'Y', count_fail_update = 0, last_what = NULL, last_error = NULL, directory = 'ca'"
    )
    return lone_box


def test_status_asks_no_more_for_rows_that_pacing_holds_back(fleet: Box) -> None:
    """The limits are counted once for all, however many wait."""
    now = int(time.time())
    order = "INSERT INTO orders (name, state, directory, names, url, created_at, updated_at) VALUES"
    row = f"('www1.example.test', 'STORED', '{LETS_ENCRYPT}', 'www1.example.test', 'u', {now - 60}, {now - 60})"
    fleet.database.execute(f"{order} {row}")
    fleet.write(acme={"limit_per_domain": "1/7d"})
    counts = []
    for waiting in (5, 40):
        some = ", ".join(f"'{name_of(number)}'" for number in range(waiting))
        change = f"UPDATE certs SET reissue_reason = 'x', due_at = {now + HOUR} WHERE name IN ({some})"  # noqa: S608
        fleet.database.execute(change)
        with questions() as asked:
            assert f"{waiting} wait: paced" in fleet.run("status").out
        counts.append(len(asked))
    assert counts[0] == counts[1]


def forge(box: Box, count: int) -> None:
    """Rows that nobody enrolled, whose certificates expired after a life of a day."""
    now = int(time.time())
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"  # noqa: S608
    given = f"'Y', 'N', csr, crt, ca, {now - 1}, {now - DAY}, 0"
    columns = "name, enable, certbot, csr, crt, ca, ts_expire, ts_last_update, count_fail_update"
    rows = f"SELECT 'forged' || i || '.example.test', {given} FROM n, (SELECT csr, crt, ca FROM certs LIMIT 1)"  # noqa: S608
    box.database.execute(f"INSERT INTO certs ({columns}) {numbers} {rows}")


def test_the_audit_looks_at_a_few_forged_rows_and_counts_the_others(fleet: Box) -> None:
    """What is known besides stays in sight; the exit code is 1, and a monitoring system hears it."""
    before = fleet.run("audit", "--local", "--json").report()
    assert before["enrolled_by_nobody"] == 0
    forge(fleet, 300)
    document = fleet.fails(
        "audit", "--local", "--json", says=["300 rows of the table were enrolled by nobody"]
    ).report()
    forged = {name for name in document["revocation"] if name.startswith("forged")}
    assert (len(forged), document["enrolled_by_nobody"]) == (MOST_TOLD, 300)
    assert {name for name in document["revocation"] if name not in forged} == before["revocation"].keys()
    assert "; 300 rows of the table were enrolled by nobody" in fleet.run("audit", "--local", "--nagios").out
    assert fleet.run("audit", "--local", "--nagios").code == 2
    one = next(iter(forged))
    assert one in fleet.run("audit", "--local", one, "--json").report()["revocation"]


def test_forged_rows_do_not_make_a_schedule_too_slow(fleet: Box) -> None:
    """They tell nothing about what this machine renews."""
    forge(fleet, 300)
    assert fleet.run("status", "--json").report()["schedule"] is None
    now = int(time.time())
    lives = f"ts_last_update = {now - DAY}, ts_expire = {now}"
    fleet.database.execute(f"UPDATE certs SET {lives} WHERE name = 'db1.example.test'")  # noqa: S608
    assert "too slow for db1.example.test: a life of 24h" in fleet.run("status", "--json").report()["schedule"]


def test_check_tells_one_cause_of_many_names_once(capsys: pytest.CaptureFixture[str]) -> None:
    """The first few by name, the others by their count; what is well, or has another cause, by itself."""
    tell = _Report(tuple(Level))
    for number in range(1000):
        name = f"www.firm{number}.test"
        tell([ok(name, "its CSR is usable"), bad(name, f"the server of {name} is away", f"`check {name}` again")])
    tell([bad("x.test", "CAA forbids our CA", "")])
    tell.tell_others()
    told = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("ok ")]
    assert told[:3] == [
        f"bad  www.firm{number}.test: the server of www.firm{number}.test is away; `check www.firm{number}.test` again"
        for number in range(3)
    ]
    assert told[3] == "bad  x.test: CAA forbids our CA"
    assert told[4:] == [
        "bad  997 more (www.firm3.test, www.firm4.test, www.firm5.test and 994 more): the server of NAME is away;"
        " `check NAME` again"
    ]
    assert len(tell.lines) == 2001


def test_the_audit_tells_one_cause_of_many_names_once() -> None:
    """Also where a finding is about another name of the certificate than its own."""
    away = "cannot be looked up: 127.0.0.1:9 does not answer"
    found = [
        Finding(f"www.firm{number}.test", Kind.UNRESOLVED, Severity.WARNING, f"{name} {away}", "look", about=name)
        for number in range(1000)
        for name in (f"shop.other{number}.test", f"www.firm{number}.test")
    ]
    [row] = table_rows(found)
    assert row[2:] == ["1000: www.firm0.test, www.firm1.test, www.firm10.test and 997 more", f"NAME {away}; look"]
