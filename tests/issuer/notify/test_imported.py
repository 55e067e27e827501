"""Imported certificates are renewed by people, who are told in time: `status`, `check`, one mail at each step down."""

import time

import pytest

from issuer.model.config import RenewalSettings
from issuer.rules.due import NotDue, decide
from issuer.rules.imported import news, next_look
from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.issuer.rules.test_renewal_and_retry import enrolment, pem
from tests.servers.authority import Authority
from tests.servers.process import wait_until
from tests.servers.smtp import Smtp

NAME = "shop.example.test"
DAY = 86400


@pytest.fixture
def watched(lone_box: Box, smtp: Smtp) -> Box:
    """A box that carries one imported certificate and tells people by mail."""
    lone_box.document["notify"] = {"email_to": ["noc@example.com"], "smtp_host": "127.0.0.1", "smtp_port": smtp.port}
    lone_box.document["acme"] = {"directory": "https://127.0.0.1:9/dir"}
    lone_box.write()
    import_one(lone_box, days=90)
    return lone_box


def import_one(box: Box, *, days: float) -> None:
    file = box.folder / "bought.pem"
    file.write_bytes(Authority("Company CA").intermediate("Issuing").issue([NAME], days=days).fullchain_pem)
    box.ok("import", NAME, "--crt", str(file))


def let_pass_until(box: Box, days_left: float) -> None:
    """Time goes by: the next look was planned for a moment that has come."""
    ends = int(time.time() + days_left * DAY)
    box.database.execute(f"UPDATE certs SET ts_expire = {ends}, due_at = 1")  # noqa: S608


def said(smtp: Smtp) -> list[str]:
    return [letter.subject.partition(" on ")[0].removeprefix(f"certfleet: {NAME} ") for letter in smtp.letters]


@pytest.mark.soak
def test_each_step_towards_the_end_is_said_once_and_the_next_import_ends_it(watched: Box, smtp: Smtp) -> None:
    """Thirty days, a week, a day before: one mail and one line of the run each; the runs between say nothing."""
    watched.ok("run")
    ends, due = watched.row(NAME, "ts_expire", "due_at")
    assert (ends - due, said(smtp)) == (pytest.approx(30 * DAY, abs=DAY), [])
    steps = {29.5: "ends soon", 25: "", 6: "ends within a week", 0.9: "has a day left or none", -3: ""}
    expected: list[str] = []
    for days_left, words in steps.items():
        let_pass_until(watched, days_left)
        expected += [words] * bool(words)
        for _ in range(2):
            watched.ok("run", "-q")
            assert said(smtp) == expected
    assert f"{NAME}: 29 days left" in smtp.letters[0].text
    assert "renew it where it was bought" in " ".join(smtp.letters[0].text.split())
    watched.database.execute("UPDATE alarms SET since = since - 5")
    import_one(watched, days=90)
    assert watched.ok("run").err == ""
    assert said(smtp) == [*expected, "recovered"]


def test_the_run_that_notices_says_so_on_standard_error(watched: Box) -> None:
    """For those whom cron tells; the next run is silent, and a disabled one is nobody's concern."""
    let_pass_until(watched, 5)
    assert f"warning: {NAME}: imported, valid until " in watched.ok("run", "-q").err
    assert watched.ok("run", "-q").err == ""
    let_pass_until(watched, 0.5)
    watched.ok("disable", NAME)
    assert watched.ok("run", "-q").err == ""


def test_status_and_check_show_it(watched: Box) -> None:
    """Well while there is time; then not, with what to do, in the list, in full and in `check`."""
    let_pass_until(watched, 40.5)
    assert watched.ok("status").out.splitlines()[1].split() == [NAME, "valid", "40d", "-", "0"]
    assert f"ok   {NAME}: imported" in watched.run("check", NAME).out
    let_pass_until(watched, 2.9)
    remedy = f"renew it where it was bought, then `certfleet-issuer import {NAME} --crt FILE`"
    listed = watched.fails("status", says=[f"{NAME}: imported, valid until ", remedy])
    assert listed.out.splitlines()[1].startswith(f"{NAME}  ends soon  ")
    watched.fails("status", NAME, says=[f"{NAME}: ends soon\n", f"none: imported, so never renewed by ACME; {remedy}"])
    assert "  validated by  nobody: imported\n" in watched.run("status", NAME).out
    assert f"warn {NAME}: imported, and it ends in 2d; {remedy}\n" in watched.run("check", NAME).out
    let_pass_until(watched, -1)
    assert f"bad  {NAME}: imported, and it has expired; {remedy}\n" in watched.run("check", NAME).out
    watched.fails("status", says=["expired", remedy])
    watched.ok("disable", NAME)
    watched.ok("status")


def test_the_daemon_tells_it_too(watched: Box) -> None:
    """Its look finds the row by its moment, writes the word down for the next mail, and plans the next look."""
    let_pass_until(watched, 5)
    with Service(watched):
        wait_until(lambda: watched.row(NAME, "due_at")[0] > 1, "it was looked at")
    assert watched.database.query("SELECT name, kind FROM outbox") == [(NAME, "ends-this-week")]


@pytest.mark.parametrize(
    ("days", "left", "days_left", "kind", "next_in"),
    [
        (365, 100, 0, None, 70),
        (365, 30, 0, "ends-soon", 23),
        (365, 80, 90, "ends-soon", 73),
        (30, 12, 0, None, 12 - 30 * 0.333),
        (9, 2, 0, "ends-this-week", 1),
        (9, 8.9, 90, None, 8.9 - 8.1),  # a tenth of the life always passes first
        (90, 1, 0, "ends-today", 1),
        (90, 0, 0, "ends-today", 7),
    ],
)
def test_when_it_is_said(days: float, left: float, days_left: int, kind: str | None, next_in: float) -> None:
    """From a third of the life, 30 days at most or days_left; then a week, a day, and every week once it is over."""
    now = int(time.time())
    row = enrolment(name=NAME, enabled=True, imported=True, crt=pem(days, 0), ts_expire=now + int(left * DAY))
    policy = RenewalSettings(days_left=days_left)
    event = news(row, now, policy)
    assert (event.kind.value if event else None) == kind
    assert next_look(row, now, policy) - now == pytest.approx(next_in * DAY, abs=60)
    assert decide(row, now, policy) == NotDue(NAME, next_look(row, now, policy), "imported", event)
