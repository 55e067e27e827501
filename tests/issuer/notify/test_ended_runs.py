"""A run that is ended before its time says what it has to say, or the next one does: each thing once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from issuer.loops.run import Summary
from issuer.model.failure import Failure
from issuer.model.outcomes import Ended, Ending
from tests.issuer.box import Box
from tests.issuer.crash.killer import killed_run
from tests.issuer.notify.conftest import told_by_mail, try_again
from tests.issuer.stopping import NAME, stopped
from tests.servers.forks import Forked
from tests.servers.silent import Silent
from tests.servers.smtp import Smtp

THREE_FAILED = "certfleet: 3 certificates failed"
THE_THREE = ["a.example.test", "b.example.test", "c.example.test"]
OTHER_CA = "directory = 'https://ca.gone.test/dir', reissue_reason = 'test'", "came from another CA"
EARLY = "ari_at = 5, ari_window = '1-5', ari_ask_at = 9999999999", "is replaced early"


@pytest.fixture
def patient(troubled: Box) -> Box:
    """Its run stays for the next attempts, an hour later."""
    troubled.write(renewal={"retry": ["1h"], "max_run": "3h"})
    return troubled


@contextmanager
def waiting_run(box: Box) -> Iterator[Forked]:
    """A run that has come to the point where it waits for the next attempts."""
    process = box.start("run")
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        for line in process.stdout:
            if line.startswith("waiting for the next attempt"):
                break
        yield process
        process.kill()
        process.wait()


def said(smtp: Smtp) -> list[str]:
    """The subjects of all mails, without the host."""
    return [letter.subject.partition(" on ")[0] for letter in smtp.letters]


def test_a_run_that_is_stopped_mails_what_failed(patient: Box, smtp: Smtp) -> None:
    """SIGTERM while it waits: one mail at its end. The next run, stopped too, has nothing to add."""
    for _ in range(2):
        with waiting_run(patient) as process:
            stopped(process)
        assert said(smtp) == [THREE_FAILED]
    for name in THE_THREE:
        assert f"  {name}: no certificate yet; failed 1 time in a row" in smtp.letters[0].text
    assert "next attempt" not in smtp.letters[0].text  # there is none before somebody starts a run


@pytest.mark.sampled
@pytest.mark.parametrize("ending", ["stopped", "ended"])
def test_after_a_kill_the_next_run_mails_what_failed(patient: Box, smtp: Smtp, ending: str) -> None:
    """kill -9 while it waits: the next run says it, whether it ends or is stopped; the one after that says nothing."""
    with waiting_run(patient) as process:
        process.kill()
    assert said(smtp) == []
    if ending == "stopped":
        with waiting_run(patient) as process:
            stopped(process)
    patient.write(renewal={"max_run": "0s"})
    patient.fails("run", says=["failed"])
    assert said(smtp) == [THREE_FAILED]
    patient.fails("run", says=["failed"])
    assert len(smtp.letters) == 1
    assert patient.database.query("SELECT * FROM outbox") == []


def test_a_run_that_is_stopped_in_the_middle_of_the_second_attempt(patient: Box, smtp: Smtp) -> None:
    """The first failed in a run that was killed; the second sits with a silent name server when SIGTERM comes."""
    with waiting_run(patient) as process:
        process.kill()
    try_again(patient)
    with Silent() as silent:
        endpoint = f"127.0.0.1:{silent.port}"
        patient.write(dns={"port": silent.port, "nameservers": [endpoint], "resolvers": [endpoint]})
        process = patient.start("run")
        assert silent.met.wait(60)
        code, out, _ = stopped(process)
    assert code == 1
    assert "3 stopped" in out
    assert said(smtp) == [THREE_FAILED]


def test_a_run_at_the_end_of_its_time_mails_what_failed(troubled: Box, smtp: Smtp) -> None:
    """After two attempts within max_run the third lies beyond: one mail, with both counted."""
    troubled.write(renewal={"retry": ["1s", "1h"], "max_run": "2m"})
    troubled.fails("run", says=["failed"])
    assert said(smtp) == [THREE_FAILED]
    assert "failed 2 times in a row; next attempt at the first run after 20" in smtp.letters[0].text


def test_a_stop_does_not_wait_for_a_silent_mail_server(patient: Box, smtp: Smtp) -> None:
    """It ends within seconds, and what was not sent is kept."""
    with Silent() as silent:
        patient.write(notify={"smtp_port": silent.port})
        with waiting_run(patient) as process:
            stopped(process)
        assert silent.met.is_set()
    assert patient.database.query("SELECT COUNT(*) FROM outbox") == [(3,)]
    patient.database.execute("UPDATE outbox SET taken_until = 0")  # ten minutes later
    patient.write(notify={"smtp_port": smtp.port}, renewal={"max_run": "0s"})
    patient.fails("run", says=["failed"])
    assert said(smtp) == [THREE_FAILED]


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("told", "place", "when"),
    [
        (OTHER_CA, "issuer.dns.zones:Zones.withdraw", "before"),  # right after it was stored
        (EARLY, "issuer.dns.zones:Zones.withdraw", "before"),
        (EARLY, "issuer.store.orders:Orders.open", "after"),
    ],
)
def test_what_a_killed_run_knew_of_a_ca(box: Box, smtp: Smtp, told: tuple[str, str], place: str, when: str) -> None:
    """Another CA, or the wish for early replacement, met by a run that was killed: the next run says it, once."""
    change, words = told
    told_by_mail(box, smtp)
    box.enrol(NAME)
    box.ok("run")
    box.forget_validations()
    box.database.execute(f"UPDATE certs SET {change}, due_at = NULL")  # noqa: S608
    assert killed_run(box, place, when, 1) == -signal.SIGKILL
    assert said(smtp) == []
    for _ in range(2):
        box.ok("run")
        assert said(smtp) == [f"certfleet: {NAME} {words}"]


@pytest.mark.parametrize("ending", [Ending.HELD, Ending.STOPPED])
def test_what_failed_is_not_mended_by_a_hold_or_a_stop(ending: Ending) -> None:
    """A failure of this run, followed by a hold or a stop, is still told, with the moment that counts now."""
    what = Failure("it failed", hint="mend it", reference="dns")
    failure = Ended(NAME, Ending.FAILED, "", 5, what, 2)
    summary = Summary({NAME: Ended(NAME, ending, retry_at=7), "new": Ended("new", ending)}, {NAME: failure})
    assert summary.news == [Ended(NAME, Ending.FAILED, "", 7, what, 2), Ended("new", ending)]


@pytest.mark.parametrize("ending", [Ending.STORED, Ending.ELSEWHERE, Ending.NOT_DUE])
def test_what_ended_otherwise_is_told_as_it_is(ending: Ending) -> None:
    """Mended, or another issuer's to tell."""
    failure = Ended(NAME, Ending.FAILED, "", 5, Failure("it failed", reference="dns"), 2)
    assert Summary({NAME: Ended(NAME, ending)}, {NAME: failure}).news == [Ended(NAME, ending)]
