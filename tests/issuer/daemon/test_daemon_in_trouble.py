"""The daemon when something else is down: itself for a tick, the database, the CA, the mail server."""

import signal
import socket
from contextlib import closing
from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.issuer.daemon.service import END_SECONDS, QUICK_SECONDS, Service
from tests.servers.lab import Lab
from tests.servers.mariadb import MariaDB
from tests.servers.process import wait_until
from tests.servers.smtp import Smtp


@pytest.mark.soak
def test_a_loop_that_only_fails_feeds_no_watchdog(box: Box) -> None:
    """A fault of our own in every tick is logged with its traceback, and systemd is left to restart the service."""
    fault_code = "def fault(*_): raise ZeroDivisionError('a fault')"
    prelude = f"import issuer.loops.daemon as d\n{fault_code}\nd.Daemon._begin_intake = fault"
    with Service(box, watchdog_seconds=0.5, prelude=prelude) as service:
        [fault, *_] = service.wait_logged("daemon.fault", 3)
        assert "Traceback" in fault["exception"]
        assert not any("WATCHDOG" in message for message in service.listen())
        assert service.end() < QUICK_SECONDS


@pytest.mark.soak
def test_a_fault_in_one_tick_is_survived(box: Box) -> None:
    """One fault of our own is logged, and certificates are issued as if nothing had happened."""
    prelude = (
        "import issuer.loops.daemon as d\nfaults = [ZeroDivisionError('a fault')]\nkept = d.Daemon._begin_intake\n"
        "def once(*words):\n    if faults: raise faults.pop()\n    return kept(*words)\nd.Daemon._begin_intake = once"
    )
    name = box.enrol("www.example.test")
    with Service(box, prelude=prelude) as service:
        service.wait_stored(name)
        assert len(service.logged("daemon.fault")) == 1


@pytest.mark.soak
def test_a_reload_that_fails_in_any_way_is_over(box: Box) -> None:
    """By a file of ours that cannot be used, or by a fault: systemd hears READY, the old settings stay in use."""
    prelude = (
        "import issuer.commands.daemon as d\nkept = d.build_outbox\nfaults = [None, ZeroDivisionError('a fault')]\n"
        "def build(*words):\n    fault = faults.pop(0) if faults else None\n"
        "    if fault: raise fault\n    return kept(*words)\nd.build_outbox = build"
    )
    with Service(box, prelude=prelude) as service:
        service.send(signal.SIGHUP)
        service.wait_heard("READY=1", 2)
        service.wait_logged("daemon.fault")
        (box.state_dir / "account.pem").write_bytes(b"\xff")
        service.send(signal.SIGHUP)
        service.wait_heard("READY=1", 3)
        assert service.logged("configuration.kept")
        service.wait_heard("STATUS=0 at work, 0 waiting; the changed configuration is refused")
        service.wait_stored(box.enrol("www.example.test"))
        assert len(service.logged("daemon.fault")) == 1


@pytest.mark.soak
def test_a_fault_behind_a_reload_does_not_make_it_a_refused_one(box: Box) -> None:
    """What is in force is counted as taken, whatever goes wrong with putting the old settings away."""
    prelude = (
        "import issuer.commands.daemon as d\nkept = d._close\nfaults = [ZeroDivisionError('a fault')]\n"
        "def close(*words):\n    if faults: raise faults.pop()\n    return kept(*words)\nd._close = close"
    )
    with Service(box, prelude=prelude) as service:
        service.send(signal.SIGHUP)
        service.wait_logged("daemon.fault")
        assert 'reloads_total{result="taken"} 1.0' in service.get("/metrics")[1]


@pytest.mark.soak
def test_a_row_that_cannot_be_planned_is_that_rows_failure(box: Box) -> None:
    """A fault of our own in the decision about one row is written down there, and stops no other."""
    odd = box.populate("odd.example.test")
    prelude = (
        "import issuer.rules.due as o\nkept = o.decide\ndef decide(row, *words, **named):\n"
        f"    if row.name == {odd!r}: raise ZeroDivisionError('a fault')\n"
        "    return kept(row, *words, **named)\no.decide = decide"
    )
    name = box.enrol("www.example.test")
    with Service(box, prelude=prelude) as service:
        service.wait_stored(name)
        [failure] = service.wait_logged("certificate.failed")
        assert failure["certificate"] == odd
        assert not service.logged("daemon.fault")
    assert "a fault" in box.row(odd, "last_error")[0]


def test_a_database_outage_is_said_survived_and_seen_in_health(lab: Lab, tmp_path: Path) -> None:
    """While MariaDB is down /healthz is 503 with the reason and /metrics still answers; afterwards all goes on."""
    with MariaDB() as server:
        box = Box(tmp_path / "box", server.create_database(), bind=lab.bind, pebble=lab.pebble)
        box.set_up()
        with Service(box) as service:
            service.wait_stored(box.enrol("www.example.test"))
            assert service.get("/healthz") == (200, "ok\n")
            server.stop()
            wait_until(lambda: service.get("/healthz")[0] == 503, "/healthz says that the database is away")
            assert "did not do its work" in service.get("/healthz")[1]
            assert "certfleet_healthy 0.0" in service.get("/metrics")[1]
            service.wait_logged("database.away", 2)
            server.start()
            wait_until(lambda: service.get("/healthz")[0] == 200, "/healthz is well again")
            service.wait_logged("database.back")
            service.wait_stored(box.enrol("mail.example.test"))
            assert service.end() < END_SECONDS


def test_an_outage_of_the_ca_is_survived(box: Box, lab: Lab) -> None:
    """While the CA is away the failure is recorded with its moment; the certificate is issued after its return."""
    box.write(renewal={"retry": ["5s"]})
    lab.pebble.stop()
    name = box.enrol("www.example.test")
    with Service(box) as service:
        service.wait_logged("certificate.failed")
        assert box.row(name, "count_fail_update")[0] >= 1
        lab.pebble.start()
        service.wait_stored(name)
    assert box.row(name, "count_fail_update", "last_error") == (0, None)


@pytest.mark.soak
def test_one_mail_for_what_happens_within_a_short_time(box: Box, tmp_path: Path) -> None:
    """Failures that come one after the other make one mail; a restart sends what was noted and not yet sent."""
    prelude = "import issuer.rules.alarms as r\nr.QUIET_SECONDS, r.MAIL_SECONDS = {}"
    box.write(renewal={"retry": ["1h"]})
    with Smtp(tmp_path) as smtp:
        box.document["notify"] = {"email_to": ["noc@example.com"], "smtp_host": "127.0.0.1", "smtp_port": smtp.port}
        box.populate("a.nowhere.test")
        with Service(box, prelude=prelude.format("10, 60")) as service:
            service.wait_logged("certificate.failed", 1)
            box.populate("b.nowhere.test")
            service.wait_logged("certificate.failed", 2)
            wait_until(lambda: bool(smtp.letters), "the mail arrives", 90)
            assert service.end() < QUICK_SECONDS
        [letter] = smtp.letters
        assert letter.subject.startswith("certfleet: 2 certificates failed on ")
        box.populate("c.nowhere.test")
        with Service(box, prelude=prelude.format("3600, 3600")) as service:
            service.wait_logged("certificate.failed", 1)
            assert service.end() < QUICK_SECONDS
        assert len(smtp.letters) == 1
        with Service(box, prelude=prelude.format("1, 2")) as service:
            wait_until(lambda: len(smtp.letters) == 2, "the mail arrives after the restart")
        assert smtp.letters[1].subject.startswith("certfleet: c.nowhere.test failed on ")


@pytest.mark.soak
def test_a_mail_server_that_hangs_holds_up_nothing(box: Box) -> None:
    """While a mail server accepts connections and says nothing, certificates are issued and the end is quick."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        box.document["notify"] = {"email_to": ["noc@example.com"], "smtp_host": "127.0.0.1", "smtp_port": port}
        box.write(renewal={"retry": ["1h"]})
        box.populate("a.nowhere.test")
        prelude = "import issuer.rules.alarms as r\nr.QUIET_SECONDS, r.MAIL_SECONDS = 1, 1"
        with Service(box, prelude=prelude) as service:
            service.wait_logged("certificate.failed")
            silent.settimeout(60)
            with closing(silent.accept()[0]):
                service.wait_stored(box.enrol("www.example.test"))
                assert service.end() < QUICK_SECONDS


def test_a_database_that_takes_no_changes_is_seen_in_health(lab: Lab, tmp_path: Path) -> None:
    """It is read as before, and no attempt can save a step."""
    with MariaDB() as server:
        box = Box(tmp_path / "box", server.create_database(), bind=lab.bind, pebble=lab.pebble)
        box.set_up()
        name = box.enrol("www.example.test")
        server.read_only(True)
        with Service(box, prelude="import issuer.store.database as d\nd._TRIES = 2") as service:
            wait_until(lambda: service.get("/healthz")[0] == 503, "/healthz says that nothing can be saved")
            wait_until(lambda: "takes no changes: " in service.get("/healthz")[1], "it says why")
            server.read_only(False)
            service.wait_stored(name)
            wait_until(lambda: service.get("/healthz")[0] == 200, "/healthz is well again")
