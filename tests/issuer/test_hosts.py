"""What the centre knows of the hosts: `status`, the mail of a run, /metrics; and that nobody can flood it."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from common.clock import utc_text
from issuer.store import hosts as hosts_store
from tests.bench.nothing_due import plans_told
from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.issuer.notify.conftest import told_by_mail
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority
from tests.servers.database import Database, SqliteDatabase
from tests.servers.process import wait_until
from tests.servers.smtp import Smtp

NAME = "www.example.test"
DAY = 86400


@pytest.fixture
def stored(database: Database, tmp_path: Path) -> Box:
    """A box with one certificate that was stored a week ago."""
    box = Box(tmp_path / "box", database)
    box.set_up()
    take_in(box, NAME)
    return box


def take_in(box: Box, name: str, left: int = 82) -> None:
    """*left*: days of its life."""
    week = int(time.time()) - 7 * DAY
    begin = datetime.fromtimestamp(week - DAY, UTC)
    issuing = Authority("Test CA").intermediate("Test Issuing")
    issued = issuing.sign(csr([name]), days=8 + left, not_before=begin)
    (box.folder / "given.pem").write_bytes(issued.fullchain_pem)
    box.ok("import", name, "--crt", str(box.folder / "given.pem"))
    moments = f"ts_last_update = {week}, hosts_look_at = hosts_look_at - {7 * DAY}"
    box.database.execute(f"UPDATE certs SET {moments} WHERE name = '{name}'")  # noqa: S608


def settings(box: Box, **values: str) -> None:
    box.document["hosts"] = values
    box.write()


def present(box: Box, name: str = NAME) -> tuple[str, int]:
    rows = box.database.query(f"SELECT sha256, not_after FROM versions WHERE name = '{name}' ORDER BY id DESC")  # noqa: S608
    return str(rows[0][0]).strip(), int(rows[0][1])


def report(box: Box, host: str, *, name: str = NAME, account: str = "agent", ago: float = 60, **more: Any) -> None:
    """A host's report, *ago* seconds old, by default of the present certificate."""
    sha256, not_after = present(box)
    facts = {"sha256": sha256, "not_after": not_after, "state": "installed", "detail": "", **more}
    facts |= {"name": name, "host": host, "account": account, "ts_report": int(time.time() - ago)}
    values = ", ".join(str(value) if isinstance(value, int) else f"'{value}'" for value in facts.values())
    box.database.execute(f"REPLACE INTO installations ({', '.join(facts)}) VALUES ({values})")  # noqa: S608


OLD: dict[str, Any] = {"sha256": "0" * 64}


def test_the_list_counts_hosts_by_how_they_are(stored: Box) -> None:
    """Exit code 1 while one is bad; a disabled certificate has hosts that nobody asked us to keep fresh."""
    report(stored, "web1")
    assert stored.ok("status").out.count("host") == 0
    settings(stored, behind="0s")
    report(stored, "web2", **OLD)
    report(stored, "web3", ago=5 * DAY)
    report(stored, "web4", state="failed")
    report(stored, "web5", **OLD, not_after=int(time.time()) - 5)
    words = "valid, 1 host serves an expired one, 1 host not well, 1 host silent, 1 host behind"
    stored.fails("status", says=[words])
    [fact] = stored.run("status", "--json").report()["certificates"]
    assert (fact["well"], fact["hosts_not_well"]) == (False, 4)
    assert fact["hosts"] == {"expired": 1, "not well": 1, "silent": 1, "behind": 1}
    stored.ok("disable", NAME)
    assert "host" not in stored.ok("status").out


def test_a_change_of_one_cell_hides_no_host_that_is_behind(stored: Box) -> None:
    """The certificate itself is compared, and its own end: not the moments beside it."""
    settings(stored, behind="0s")
    sha256, not_after = present(stored)
    report(stored, "web1", sha256="1" * 64, not_after=not_after)
    for cell in (
        "ts_last_update = 9999999999",
        "ts_expire = 9999999999",
        "hosts_look_at = NULL",
        "due_at = 9999999999",
    ):
        stored.database.execute(f"UPDATE certs SET {cell}")  # noqa: S608
        stored.fails("status", says=["1 host behind"])
    assert sha256


def test_both_reports_of_two_accounts_are_shown(stored: Box) -> None:
    """An account that reports for the host of another neither replaces nor hides that report."""
    report(stored, "web1", account="agent-web1", ago=5 * DAY)
    report(stored, "web1", account="thief")
    text = stored.fails("status", NAME, says=[f"{NAME}: valid, 1 host silent"]).out
    for words in ("agent-web1\n", "thief\n", "  web1: silent since 20"):
        assert words in text
    facts = stored.run("status", NAME, "--json").report()["certificates"][0]["installations"]
    assert [(one["account"], one["standing"], one["well"]) for one in facts] == [
        ("agent-web1", "silent", False),
        ("thief", "current", True),
    ]


def test_hosts_as_a_list_the_worst_first(stored: Box) -> None:
    """One line a host; --failing only those that are not well; the exit code is that of the hosts."""
    report(stored, "web1")
    report(stored, "web2", ago=5 * DAY)
    report(stored, "web3", state="failed", detail="nginx -t says\nno \x1b[2J", account="agent-web3")
    lines = stored.fails("status", "--hosts", says=[]).out.splitlines()
    assert [line.split()[0] for line in lines] == ["HOST", "web3", "web2", "web1"]
    assert "failed: nginx -t says no \\x1b[2J" in lines[1]
    assert len(stored.fails("status", "--hosts", "--failing", says=[]).out.splitlines()) == 3
    document = stored.run("status", "--hosts", "--json").report()
    assert [(one["host"], one["standing"]) for one in document["hosts"]] == [
        ("web3", "not well"),
        ("web2", "silent"),
        ("web1", "current"),
    ]
    stored.ok("hosts", "forget", "web2", "web3")
    stored.ok("status", "--hosts", NAME)


def test_only_what_fails_or_ends_soon(stored: Box) -> None:
    """--failing and --expiring choose; what is left out does not make the exit code."""
    stored.populate("new.example.test")
    assert stored.ok("status", "--failing").out == "none\n"
    assert NAME in stored.ok("status", "--expiring", "400d").out
    assert "new.example.test" not in stored.ok("status", "--expiring", "400d").out
    assert stored.ok("status", "--expiring", "1d").out == "none\n"
    take_in(stored, "zz.example.test", left=20)
    for name, left in (("aa.example.test", 60), ("mm.example.test", 40)):
        take_in(stored, name, left=left)
    lines = stored.ok("status", "--expiring", "70d").out.splitlines()
    ordered = ["zz.example.test", "mm.example.test", "aa.example.test"]
    assert [line.split()[0] for line in lines] == ["NAME", *ordered]
    facts = stored.ok("status", "--expiring", "70d", "--json").report()["certificates"]
    assert [fact["name"] for fact in facts] == ordered
    report(stored, "web1", state="failed")
    stored.ok("status", "--expiring", "1d")
    lines = stored.fails("status", "--failing", says=[]).out.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", NAME]
    facts = stored.run("status", "--failing", "--json").report()["certificates"]
    assert [fact["name"] for fact in facts] == [NAME]
    refused = stored.run("status", "--expiring", "soon")
    assert (refused.code, "'soon' is not a duration" in refused.err) == (2, True)


def test_a_flood_of_reports_is_bounded_output(stored: Box) -> None:
    """4000 reports of one account: twenty lines and a count, among them that of another account, in seconds."""
    report(stored, "web1", account="honest", ago=5 * DAY)
    digits = " UNION ALL ".join(f"SELECT {digit} AS n" for digit in range(10))
    many = ", ".join(f"({digits}) AS t{place}" for place in range(3))
    number = " + ".join(f"t{place}.n * {10**place}" for place in range(3))
    for more in "abcd":
        host = f"REPLACE('{more}NUMBER', 'NUMBER', {number})"
        values = f"'{NAME}', {host}, 'thief', 'failed', '{'x' * 2000}', {int(time.time())}"
        into = "installations (name, host, account, state, detail, ts_report)"
        stored.database.execute(f"INSERT INTO {into} SELECT {values} FROM {many}")  # noqa: S608
    began = time.process_time()
    text = stored.fails("status", NAME, says=["4000 hosts not well, 1 host silent", "and 3981 more"]).out
    assert "web1: silent since" in text
    assert len(text) < 20_000
    assert len(json.dumps(stored.run("status", NAME, "--json").report())) < 80_000
    listed = stored.fails("status", "--hosts", says=["and 3001 more"]).out
    assert "web1 " in listed
    assert len(listed.splitlines()) == 1002
    assert time.process_time() - began < 5


@pytest.fixture
def smtp(tmp_path: Path) -> Iterator[Smtp]:
    with Smtp(tmp_path) as server:
        yield server


def subjects(smtp: Smtp) -> list[str]:
    return [letter.subject.partition(" on ")[0] for letter in smtp.letters]


def test_people_hear_once_when_a_host_is_not_well_and_when_it_is_well_again(stored: Box, smtp: Smtp) -> None:
    """Each change of how it stands is one line of a mail, with host, account and sentence; nothing while it lasts."""
    told_by_mail(stored, smtp)
    report(stored, "web1")
    stored.ok("run")
    assert smtp.letters == []
    report(stored, "web1", ago=4 * DAY)
    for _ in range(2):
        stored.ok("run")
    assert subjects(smtp) == [f"certfleet: {NAME} has a silent host"]
    moment = utc_text(time.time() - 4 * DAY)[:10]
    assert f'  {NAME} on web1 (agent): "silent since {moment}' in smtp.letters[0].text
    report(stored, "web1", state="failed", detail="no\nroom")
    stored.ok("run")
    assert f'  {NAME} on web1 (agent): "failed: no room' in smtp.letters[1].text
    report(stored, "web1")
    for _ in range(2):
        stored.ok("run")
    report(stored, "web1", state="incomplete", detail="it leaves out Test Issuing")
    stored.ok("run")
    assert f'  {NAME} on web1 (agent): "incomplete: it leaves out Test Issuing"' in smtp.letters[3].text
    report(stored, "web1", **OLD, not_after=int(time.time()) - 5)
    stored.ok("run")
    assert f'  {NAME} on web1 (agent): "serves an expired one, since' in smtp.letters[4].text
    report(stored, "web1")
    stored.ok("run")
    assert subjects(smtp)[1:] == [
        f"certfleet: {NAME} is not well at a host",
        f"certfleet: {NAME} is well again at a host",
        f"certfleet: {NAME} is not well at a host",
        f"certfleet: {NAME} is served expired",
        f"certfleet: {NAME} is well again at a host",
    ]
    assert stored.database.query("SELECT * FROM host_alarms") == []


def test_a_host_that_does_not_take_the_new_one(stored: Box, smtp: Smtp) -> None:
    """Behind after two days; once all hosts have the present one, no run looks at them again for that."""
    told_by_mail(stored, smtp)
    settings(stored, behind="0s")
    report(stored, "web1", **OLD)
    report(stored, "web2")
    stored.ok("run")
    assert subjects(smtp) == [f"certfleet: {NAME} is behind at a host"]
    assert stored.database.query("SELECT COUNT(*) FROM certs WHERE hosts_look_at IS NULL") == [(0,)]
    report(stored, "web1")
    stored.ok("run")
    assert subjects(smtp)[1:] == [f"certfleet: {NAME} is well again at a host"]
    assert stored.database.query("SELECT hosts_look_at FROM certs") == [(None,)]


def test_a_host_that_goes_back(stored: Box, smtp: Smtp) -> None:
    """All hosts had the present one; then one is restored from a backup, and another one comes with an earlier one. Who
    looks in between takes no mail away."""
    told_by_mail(stored, smtp)
    report(stored, "web1")
    for _ in range(2):
        stored.ok("run")
    assert stored.database.query("SELECT hosts_look_at FROM certs") == [(None,)]
    report(stored, "web1", **OLD)
    stored.fails("status", says=["1 host behind"])
    stored.ok("run")
    assert subjects(smtp) == [f"certfleet: {NAME} is behind at a host"]
    report(stored, "web1")
    report(stored, "web2", **OLD)
    stored.fails("status", says=["1 host behind"])
    stored.ok("run")
    assert [letter.text.count("web2") for letter in smtp.letters[1:]] == [1]


@pytest.mark.parametrize(
    "end",
    ["", "UPDATE installations SET ts_report = 5", "UPDATE certs SET enable = 'N'"],
    ids=["by-command", "forgotten", "disabled"],
)
def test_a_host_that_is_no_more_is_not_said_to_be_well(stored: Box, smtp: Smtp, end: str) -> None:
    """Its alarm ends without a word."""
    told_by_mail(stored, smtp)
    report(stored, "web1", ago=4 * DAY)
    stored.ok("run")
    if end:
        stored.database.execute(end)
    else:
        assert stored.ok("hosts", "forget", "web1").out.startswith("1 report forgotten")
    stored.ok("run")
    assert len(smtp.letters) == 1
    assert stored.database.query("SELECT * FROM host_alarms") == []


def test_a_flood_of_events_is_a_bounded_mail(stored: Box, smtp: Smtp) -> None:
    """What another account says stands among the first lines."""
    told_by_mail(stored, smtp)
    report(stored, "zz", account="zz", ago=4 * DAY)
    for number in range(300):
        report(stored, f"h{number}", account="thief", ago=4 * DAY)
    stored.ok("run")
    [letter] = smtp.letters
    assert f'{NAME} on zz (zz): "silent since' in letter.text
    assert "and 251 more" in letter.text
    assert len(letter.text) < 10_000


def test_nothing_is_read_beyond_an_index(stored: Box, smtp: Smtp) -> None:
    """The look of a run with nothing to tell reads no whole table."""
    told_by_mail(stored, smtp)
    for number in range(50):
        report(stored, f"web{number}")
    stored.ok("run")
    if not isinstance(stored.database, SqliteDatabase):
        stored.database.query("ANALYZE TABLE certs, installations, host_alarms")
    with plans_told() as told:
        stored.ok("run")
    asked = [plan for plan in told if "installations" in plan.query]
    assert len(asked) >= 4
    assert not [plan for plan in asked if plan.reads_everything]


def test_the_metric_of_a_daemon(tmp_path: Path) -> None:
    """Also without mail; the words are those of status."""
    box = Box(tmp_path / "box", SqliteDatabase(tmp_path))
    box.set_up()
    take_in(box, NAME)
    report(box, "web1", ago=4 * DAY)
    report(box, "web2", state="ending")
    report(box, "web3", **OLD)
    with Service(box) as service:
        wait_until(
            lambda: 'certfleet_hosts_not_well{state="silent"} 1.0' in service.get("/metrics")[1], "the look is taken"
        )
        assert 'certfleet_hosts_not_well{state="not well"} 1.0' in service.get("/metrics")[1]
        assert 'certfleet_hosts_not_well{state="behind"} 1.0' in service.get("/metrics")[1]
        assert 'certfleet_hosts_not_well{state="expired"} 0.0' in service.get("/metrics")[1]


def test_accounts_with_many_reports_hide_no_other(stored: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a look reads has a bound. Three hosts that fill it, about a certificate that comes first, are not enough."""
    monkeypatch.setattr(hosts_store, "_REPORTS", hosts_store._fairly(10))
    take_in(stored, "aaa.example.test")
    for number in range(30):
        report(stored, f"h{number}", name="aaa.example.test", account=f"thief{number % 3}", sha256="")
    report(stored, "web1", account="web1", state="failed")
    stored.fails("status", says=["1 host not well"])
