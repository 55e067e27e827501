"""What people hear, through a real mail server: one mail a run, and only when something changes."""

import re
import socket
import time
from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.issuer.notify.conftest import heard_by_syslog, mend, told_by_mail, try_again
from tests.servers.lab import Lab
from tests.servers.smtp import Smtp


def test_a_run_that_fails_three_certificates_sends_one_mail(troubled: Box, smtp: Smtp, tmp_path: Path) -> None:
    """One mail for the whole run: how many in the subject; name, reason, remedy and next attempt in the body. Syslog,
    if it is wanted, gets a line for each."""
    troubled.write(notify={"syslog": True})
    with heard_by_syslog(tmp_path / "log") as lines:
        troubled.fails("run", says=["failed"])
    assert len(lines) == 3
    [letter] = smtp.letters
    assert re.fullmatch(r"certfleet: 3 certificates failed on \S+", letter.subject)
    assert letter.recipients == ("noc@example.com",)
    assert letter.sender.startswith("certfleet@")
    assert letter.message["Auto-Submitted"] == "auto-generated"
    assert letter.message.get_content_type() == "text/plain"
    for name in ("a.example.test", "b.example.test", "c.example.test"):
        [line] = [line for line in letter.text.splitlines() if f"{name}:" in line]
        assert "no certificate yet" in line
        assert re.search(r"next attempt at the first run after 20\d\d-", line)
    for label in ("  > what: ", "  > why: ", "  > what to do: "):
        assert label in letter.text
    assert "Traceback" not in letter.text


def test_what_cron_mails(troubled: Box) -> None:
    """run -q: each cause once, at the end, with its certificates, what to do and the next attempt; nothing at all when
    all is well."""
    troubled.write(renewal={"retry": ["1s", "1h"], "max_run": "2m"})
    outcome = troubled.fails("run", "-q", says=["error: 3 certificates: failed: "])
    assert outcome.out == ""
    assert outcome.err.count("error: ") == outcome.err.count("  what to do: ") == 1
    assert "  certificates: a.example.test, b.example.test, c.example.test\n" in outcome.err
    assert outcome.err.count("  next attempt: the first run after 20") == 1
    mend(troubled, "a.example.test", "b.example.test", "c.example.test")
    quiet = troubled.ok("run", "-q")
    assert quiet.out + quiet.err == ""


@pytest.mark.soak
def test_a_database_that_fails_at_the_very_end(troubled: Box, smtp: Smtp) -> None:
    """What failed is told and mailed all the same, and then that nothing could be tidied up."""
    troubled.database.execute("ALTER TABLE challenges RENAME TO out_of_order")
    quiet = troubled.fails("run", "-q", says=["error: 3 certificates: failed: "])
    assert quiet.err.count("error: ") == 2
    assert "challenges" in quiet.err.rpartition("error: ")[2]
    assert len(smtp.letters) == 1
    try_again(troubled)
    assert len(troubled.run("run", "--json").report()["certificates"]) == 3


def test_a_trouble_that_lasts_is_said_once(troubled: Box, smtp: Smtp) -> None:
    """The same failures at the next runs send nothing; a certificate that fails newly is said alone."""
    troubled.ok("disable", "c.example.test")
    for _ in range(3):
        try_again(troubled)
        troubled.fails("run", says=["failed"])
    assert len(smtp.letters) == 1
    troubled.ok("enable", "c.example.test")
    try_again(troubled)
    troubled.fails("run", says=["failed"])
    assert [letter.subject.partition(" on ")[0] for letter in smtp.letters[1:]] == ["certfleet: c.example.test failed"]


@pytest.mark.soak
def test_a_key_of_statements_that_is_gone_is_said_once(
    troubled: Box, smtp: Smtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing is stored, and another issuer of the database, which has its key, does not end it; that it is
    back is said once too."""
    troubled.ok("disable", "a.example.test", "b.example.test", "c.example.test")
    other = Box(troubled.folder / "other", troubled.database)
    told_by_mail(other, smtp)
    other.set_up()
    key = troubled.state_dir / "statement.pem"
    aside = key.rename(troubled.folder / "aside.pem")
    for _ in range(2):
        troubled.fails("run", says=["there is no key to sign statements with"])
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(socket, "gethostname", lambda: "issuer2")
            other.ok("run")
    [letter] = smtp.letters
    assert letter.subject.partition(" on ")[0] == f"certfleet: {socket.gethostname()}:statement.pem cannot be used"
    assert "STATEMENTS ARE NOT SIGNED" in letter.text
    assert "--lost" in letter.text
    aside.rename(key)
    for _ in range(2):
        troubled.ok("run")
    assert [each.subject.partition(" on ")[0].rpartition(" ")[2] for each in smtp.letters[1:]] == ["recovered"]


@pytest.mark.soak
def test_a_stuck_certificate_is_said_once_more(troubled: Box, smtp: Smtp) -> None:
    """After `give_up_alarm` failures in a row the certificate is reported as stuck, and then never again."""
    troubled.write(renewal={"give_up_alarm": 3})
    troubled.ok("disable", "b.example.test", "c.example.test")
    for _ in range(5):
        try_again(troubled)
        troubled.fails("run", says=["failed"])
    said = [letter.subject.partition(" on ")[0] for letter in smtp.letters]
    assert said == ["certfleet: a.example.test failed", "certfleet: a.example.test is stuck"]
    assert "failed 3 times in a row" in smtp.letters[1].text


def test_a_recovery_is_said_once_whoever_brought_it(troubled: Box, smtp: Smtp) -> None:
    """A certificate that another issuer or a command got well is said to have recovered, once."""
    troubled.fails("run", says=["failed"])
    mend(troubled, "a.example.test", "b.example.test")
    for _ in range(2):
        troubled.fails("run", says=["failed"])
    assert len(smtp.letters) == 2
    assert smtp.letters[1].subject.startswith("certfleet: 2 certificates recovered on ")
    try_again(troubled)
    troubled.database.execute("UPDATE certs SET ts_last_update = 5")
    troubled.fails("run", says=["failed"])
    assert smtp.letters[2].subject.startswith("certfleet: 2 certificates failed on ")  # the third never recovered


@pytest.mark.soak
def test_a_recovery_from_what_a_clock_ahead_has_told(troubled: Box, smtp: Smtp) -> None:
    """The moment of an alarm that is still to come keeps neither the recovery nor the next failure from being told."""
    troubled.fails("run", says=["failed"])
    troubled.database.execute("UPDATE alarms SET since = since + 10000000000")
    troubled.fails("run", says=["failed"])
    assert len(smtp.letters) == 1
    mend(troubled, "a.example.test", "b.example.test")
    troubled.fails("run", says=["failed"])
    assert smtp.letters[1].subject.startswith("certfleet: 2 certificates recovered on ")
    try_again(troubled)
    troubled.fails("run", says=["failed"])
    assert smtp.letters[2].subject.startswith("certfleet: 2 certificates failed on ")


@pytest.mark.soak
def test_no_recovery_by_the_clock_alone(troubled: Box, smtp: Smtp) -> None:
    """The clock of another issuer may be minutes ahead of ours; and a moment far ahead ends no trouble but failures."""
    troubled.fails("run", says=["failed"])
    mend(troubled, "a.example.test", "b.example.test")
    troubled.fails("run", says=["failed"])
    troubled.database.execute("UPDATE certs SET ts_last_update = 5")
    told = [("a.example.test", "failed", int(time.time()) + 300), ("b.example.test", "revoked", 10**10)]
    for alarm in told:
        troubled.database.execute(f"INSERT INTO alarms (name, kind, since) VALUES {alarm}")  # noqa: S608
    troubled.fails("run", says=["failed"])
    assert len(smtp.letters) == 2
    kept = troubled.database.query("SELECT name, kind, since FROM alarms WHERE name < 'c' ORDER BY name")
    assert [tuple(alarm) for alarm in kept] == told


def test_a_removed_certificate_is_said_no_more(troubled: Box, smtp: Smtp) -> None:
    """What was in trouble and then removed leaves no alarm and sends no mail."""
    troubled.fails("run", says=["failed"])
    troubled.database.execute("DELETE FROM orders")
    for name in ("a.example.test", "b.example.test", "c.example.test"):
        troubled.ok("remove", name, "--yes")
    troubled.ok("run")
    assert len(smtp.letters) == 1
    assert troubled.database.query("SELECT * FROM alarms") == []


def test_a_mail_server_that_is_down_fails_no_run_and_loses_no_event(troubled: Box, smtp: Smtp) -> None:
    """The run ends as without mail, with a warning; what was not delivered is delivered by a later run, once."""
    smtp.stop()
    outcome = troubled.fails("run", says=["failed"])
    assert "notification.unsent" in outcome.err
    assert "smtp_host" in outcome.err
    smtp.start()
    troubled.fails("run", says=["failed"])
    [letter] = smtp.letters
    assert letter.subject.startswith("certfleet: 3 certificates failed on ")
    troubled.fails("run", says=["failed"])
    assert len(smtp.letters) == 1
    assert troubled.database.query("SELECT * FROM outbox") == []
    smtp.stop()
    mend(troubled, "a.example.test", "b.example.test", "c.example.test")
    assert "notification.unsent" in troubled.ok("run").err


def test_a_mail_that_the_server_refuses_is_kept(troubled: Box, smtp: Smtp) -> None:
    """A temporary refusal keeps the events; a refusal of one recipient of two fails nothing, and is said under -q."""
    smtp.refuse("451 come back later")
    assert "451 come back later" in troubled.fails("run", says=["failed"]).err
    smtp.refuse("")
    smtp.refused.add("gone@example.com")
    troubled.write(notify={"email_to": ["gone@example.com", "noc@example.com"]})
    outcome = troubled.fails("run", "-q", says=["failed"])
    assert "mail.recipient_refused" in outcome.err
    assert "1 of 2 recipients" in outcome.err
    [letter] = smtp.letters
    assert letter.recipients == ("noc@example.com",)
    smtp.deferred.add("gone@example.com")
    smtp.refused.clear()
    mend(troubled, "a.example.test", "b.example.test", "c.example.test")
    assert "450 greylisted" in troubled.ok("run", "-q").err


@pytest.mark.soak
def test_what_failed_and_recovered_unsaid_is_not_worth_a_mail(troubled: Box, smtp: Smtp) -> None:
    """While the mail server was down a certificate failed and recovered: neither is said afterwards."""
    smtp.stop()
    troubled.fails("run", says=["failed"])
    mend(troubled, "a.example.test", "b.example.test", "c.example.test")
    smtp.start()
    troubled.ok("run")
    assert smtp.letters == []
    assert troubled.database.query("SELECT * FROM alarms") == troubled.database.query("SELECT * FROM outbox") == []


def test_a_failure_after_a_certificate_was_disabled(troubled: Box, smtp: Smtp) -> None:
    """It is enabled again months later: the mail of then says nothing about now."""
    troubled.fails("run", says=["failed"])
    for word in ("disable", "enable"):
        troubled.ok(word, "a.example.test")
    try_again(troubled)
    troubled.fails("run", says=["failed"])
    assert [letter.subject.partition(" on ")[0] for letter in smtp.letters[1:]] == ["certfleet: a.example.test failed"]


def test_nobody_to_tell_costs_nothing(troubled: Box, smtp: Smtp) -> None:
    """Without recipients nothing is sent and nothing is remembered."""
    troubled.write(notify={"email_to": []})
    troubled.fails("run", says=["failed"])
    assert smtp.letters == []
    assert troubled.database.query("SELECT * FROM alarms") == troubled.database.query("SELECT * FROM outbox") == []


def test_a_real_failure_and_a_real_recovery(box: Box, lab: Lab, smtp: Smtp) -> None:
    """A CA that is away and comes back: one mail for the failure, one for the recovery with the new certificate."""
    told_by_mail(box, smtp)
    name = box.enrol("www.example.test")
    lab.pebble.stop()
    box.fails("run", says=[name])
    lab.pebble.start()
    box.ok("issue", name)
    failed, recovered = smtp.letters
    assert failed.subject.startswith(f"certfleet: {name} failed on ")
    assert recovered.subject.startswith(f"certfleet: {name} recovered on ")
    assert "serial " in recovered.text
