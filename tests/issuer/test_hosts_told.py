"""The hosts as people and a daemon hear of them: the mail of a run, /metrics; and that nobody can flood it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.clock import utc_text
from tests.bench.nothing_due import plans_told
from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.issuer.host_reports import DAY, NAME, OLD, report, settings, take_in
from tests.issuer.notify.conftest import told_by_mail
from tests.servers.database import SqliteDatabase
from tests.servers.process import wait_until
from tests.servers.smtp import Smtp


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


def test_a_host_that_is_behind_when_a_newer_one_is_stored(stored: Box, smtp: Smtp) -> None:
    """It has followed nowhere, and is not well again before it serves the present one."""
    told_by_mail(stored, smtp)
    report(stored, "web1", **OLD)
    stored.ok("run")
    stored.database.execute(f"UPDATE certs SET ts_last_update = {int(time.time())}")  # noqa: S608
    assert "waiting: its agent has not taken" in stored.ok("status", "--hosts").out
    stored.ok("run")
    assert subjects(smtp) == [f"certfleet: {NAME} is behind at a host"]
    report(stored, "web1")
    stored.ok("run")
    assert subjects(smtp)[1:] == [f"certfleet: {NAME} is well again at a host"]


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


@pytest.mark.sampled
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


@pytest.mark.soak
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
