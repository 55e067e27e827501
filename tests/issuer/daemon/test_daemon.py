"""The daemon against a real name server, a real ACME server and real databases, as a process of its own."""

import itertools
import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.issuer.daemon.service import END_SECONDS, QUICK_SECONDS, Service
from tests.issuer.shared_order import SharedOrder
from tests.issuer.signing_requests import csr
from tests.servers.bind import Bind
from tests.servers.ca_proxy import CaProxy
from tests.servers.lab import Lab
from tests.servers.mariadb import MariaDB
from tests.servers.process import wait_until


@pytest.fixture
def slow(box: Box, lab: Lab, tmp_path: Path) -> Iterator[Bind]:
    """A secondary that learns of a change when it is told; names at and below slow.test are to be seen there too."""
    with Bind(tmp_path / "slow", secondary_of=lab.bind, lag_seconds=math.inf) as secondary:
        servers = [lab.bind.endpoint, secondary.endpoint]
        box.document["dns"]["zone"] = [{"name": "slow.test", "nameservers": servers}]
        yield secondary


def orders(box: Box) -> list[str]:
    """The states of all orders, oldest first."""
    return [state for state, _ in box.orders()]


def test_it_issues_what_is_due_and_takes_in_what_is_enabled_later(server_box: Box) -> None:
    """What is due at the start is issued at once; a certificate enabled by another command follows within seconds."""
    first = server_box.enrol("www.example.test")
    with Service(server_box) as service:
        service.wait_stored(first)
        second = server_box.enrol("mail.example.test")
        service.wait_stored(second)
        assert service.end() < QUICK_SECONDS
    assert orders(server_box) == ["STORED", "STORED"]
    assert server_box.txt(first) == server_box.txt(second) == set()


def test_each_certificate_has_its_own_moment(box: Box) -> None:
    """A certificate whose moment is in the future is left alone until then, and issued within seconds of it."""
    name = box.enrol("www.example.test")
    moment = int(time.time()) + 8
    box.database.execute(f"UPDATE certs SET due_at = {moment}")  # noqa: S608
    with Service(box) as service:
        ready = time.time()
        service.wait_stored(name)
        [(stored_at,)] = box.database.query("SELECT ts_last_update FROM certs")
        assert moment <= stored_at <= max(moment, ready) + 20


@pytest.mark.soak
def test_a_change_that_fails_keeps_no_renewal_waiting(box: Box) -> None:
    """Both are due, and the zone of a new name is missing: the present certificate is renewed all the same; asked for
    when the zone is there, the change is issued."""
    name = box.enrol("www.example.test")

    def stored() -> int:
        [(count,)] = box.database.query("SELECT COUNT(*) FROM versions")
        return int(str(count))

    box.ok("run")
    wanted = csr([name, "added.example.test"], "ecdsa-p384")
    box.ok("populate", "--replace", name, "--csr", "-", stdin=wanted)
    box.put_aged(name, days=90, left=20)
    with Service(box):
        wait_until(lambda: box.row(name, "change_failures") == (1,), "the change is tried, and fails")
        wait_until(lambda: stored() == 2, "the present certificate is renewed")
        assert box.row(name, "change_failures", "count_fail_update") == (1, 0)
        assert box.bind is not None
        box.add_zone("added.example.test")
        box.bind.reconfigure()
        box.ok("issue", name)
        wait_until(lambda: box.row(name, "csr") == (wanted,), "the change is issued")
    assert stored() == 3


def test_a_slow_zone_keeps_no_other_certificate_waiting(box: Box, slow: Bind) -> None:
    """With one worker, while an order waits for a lagging name server, a certificate enabled later is issued."""
    late = box.enrol("www.slow.test")
    box.document["acme"]["workers"] = 1
    with Service(box) as service:
        wait_until(lambda: "PUBLISHED" in orders(box), "the first order waits for its zone")
        prompt = box.enrol("www.example.test")
        service.wait_stored(prompt)
        assert not service.stored(late)
        slow.refresh()
        service.wait_stored(late)
    assert orders(box) == ["STORED", "STORED"]


@pytest.mark.sampled
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_in_the_middle_of_an_order_is_quick_and_the_next_start_goes_on(
    box: Box, slow: Bind, number: signal.Signals
) -> None:
    """Asked to end while a zone lags, it ends within seconds, gives its lease back, and resumes the same order."""
    name = box.enrol("www.slow.test")
    with Service(box) as service:
        wait_until(lambda: "PUBLISHED" in orders(box), "the order waits for its zone")
        assert service.end(number) < QUICK_SECONDS
        assert any("STOPPING=1" in message for message in service.listen())
        [(state, owner)] = box.database.query("SELECT state, lease_owner FROM orders")
        assert (state, owner) == ("PUBLISHED", None)
        slow.refresh()
        service.start()
        service.wait_stored(name)
        wait_until(lambda: box.txt(name) == set(), "the challenge is withdrawn")
    [(state, url)] = box.orders()
    assert (state, bool(url)) == ("STORED", True)


def test_a_broken_configuration_is_refused_whole_and_the_old_one_kept(box: Box) -> None:
    """At SIGHUP every finding of a bad file is logged, and certificates go on being issued by the old one."""
    box.enrol("www.example.test")
    with Service(box) as service:
        good = box.config.read_text(encoding="utf-8")
        broken = good.replace("max_run", "max_rum") + '\n[notify]\nsmtp_port = "many"\n'
        box.config.write_text(broken, encoding="utf-8")
        service.send(signal.SIGHUP)
        [kept] = service.wait_logged("configuration.kept")
        findings = [entry["finding"] for entry in service.logged("configuration.finding")]
        assert kept["findings"] == len(findings) == 2
        assert any("max_rum" in finding for finding in findings)
        assert any("notify.smtp_port" in finding for finding in findings)
        service.wait_heard("RELOADING=1")
        service.wait_heard("READY=1", 2)
        box.config.write_text(good, encoding="utf-8")
        service.wait_stored(box.enrol("mail.example.test"))
        service.send(signal.SIGHUP)
        service.wait_logged("configuration.taken")
        service.wait_stored(box.enrol("ftp.example.test"))
        assert service.end() < QUICK_SECONDS


def test_orders_under_way_finish_under_the_configuration_they_began_with(box: Box, slow: Bind) -> None:
    """A reload while an order waits changes what comes next, not that order."""
    name = box.enrol("www.slow.test")
    with Service(box) as service:
        wait_until(lambda: "PUBLISHED" in orders(box), "the order waits for its zone")
        box.write(dns={"zone": [], "nameservers": ["127.0.0.1:9"]}, acme={"directory": "https://127.0.0.1:9/dir"})
        service.send(signal.SIGHUP)
        service.wait_logged("configuration.taken")
        slow.refresh()
        service.wait_stored(name)
        other = box.enrol("www.example.test")
        wait_until(lambda: bool(box.row(other, "last_error")[0]), "the new order meets the new configuration")
    assert orders(box)[0] == "STORED"


@pytest.mark.soak
def test_two_certificates_for_the_same_names_take_turns_across_a_reload(
    proxied: Box, proxy: CaProxy, slow: Bind
) -> None:
    """The second one, enabled after the reload, does not take the order of the first one for its own."""
    box, rule = proxied, SharedOrder()
    proxy.after.append(rule)
    first = box.enrol("www.slow.test", kind="rsa2048")
    box.ok("populate", "twin", "--label", "--csr", "-", stdin=csr(["www.slow.test"]))
    with Service(box) as service:
        wait_until(lambda: "PUBLISHED" in orders(box), "the first order waits for its zone")
        service.send(signal.SIGHUP)
        service.wait_logged("configuration.taken")
        box.ok("enable", "twin")
        wait_until(lambda: "certfleet_attempts_in_hand 2.0" in service.get("/metrics")[1], "both are in hand")
        slow.refresh()
        service.wait_stored(first)
        assert orders(box)[0] == "STORED"
        wait_until(lambda: len(orders(box)) == 2, "the other one's turn has come")
        on_its_way = ("PUBLISHED", "STORED")  # the latter if the CA asks for no challenge, as it knows the name
        wait_until(lambda: orders(box)[1] in on_its_way, "its order waits for its zone")
        slow.refresh()
        service.wait_stored("twin")
        assert not service.logged("certificate.failed")
    assert rule.opened == 2


@pytest.mark.soak
def test_an_upgrade_beside_a_daemon_at_work(mariadb: MariaDB, lab: Lab, tmp_path: Path) -> None:
    """`db upgrade` waits for no order and harms none: one under way is finished, and new ones follow."""
    box = Box(tmp_path / "box", mariadb.create_database(), bind=lab.bind, pebble=lab.pebble)
    box.set_up()
    name = box.enrol("www.slow.test")
    with Bind(tmp_path / "lagging", secondary_of=lab.bind, lag_seconds=math.inf) as lagging:
        box.document["dns"]["zone"] = [{"name": "slow.test", "nameservers": [lagging.endpoint]}]
        with Service(box) as service:
            wait_until(lambda: orders(box) == ["PUBLISHED"], "the order waits for its zone")
            box.database.execute("ALTER TABLE certs MODIFY last_error TEXT CHARACTER SET latin1")
            box.database.execute("UPDATE alembic_version SET version_num = '0001'")
            assert "was at 0001" in box.ok("db", "upgrade").out
            lagging.refresh()
            service.wait_stored(name)
            service.wait_stored(box.enrol("www.example.test"))
            assert service.end() < END_SECONDS
            assert "fault" not in service.log_file.read_text(encoding="utf-8")


def test_the_state_folder_stays_where_the_lock_is(box: Box) -> None:
    """A reload that would move the state folder is refused with the reason."""
    with Service(box) as service:
        box.document["state_dir"] = str(box.folder / "elsewhere")
        box.write()
        service.send(signal.SIGHUP)
        service.wait_logged("configuration.kept")
        [finding] = service.logged("configuration.finding")
        assert finding["finding"].startswith("state_dir: ")


@pytest.mark.sampled
@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_the_whole_life(box: Box, *, abstract: bool) -> None:
    """READY, then WATCHDOG about twice an interval, STATUS, and STOPPING at the end, on either kind of socket."""
    interval = 4.0
    with Service(box, watchdog_seconds=interval, abstract=abstract) as service:
        service.wait_heard("WATCHDOG=1", 4)
        moments = [moment for moment, message in service.heard if "WATCHDOG=1" in message]
        assert max(later - earlier for earlier, later in itertools.pairwise(moments)) < interval
        assert any(message.startswith("STATUS=") for message in service.listen())
        service.end()
        heard = service.listen()
        assert heard[0] == "READY=1"
        assert "STOPPING=1" in heard


def test_one_issuer_at_a_time_on_a_state_folder(box: Box) -> None:
    """Beside a daemon neither `run` nor a second daemon starts: exit code 3, and who holds the lock."""
    with Service(box):
        box.refused("run", code=3, says=["certfleet-issuer daemon", "the daemon does what `run` does"])
        box.refused("daemon", code=3, says=["certfleet-issuer daemon"])


def test_issue_and_reissue_are_handed_to_the_daemon(box: Box) -> None:
    """Beside a daemon `reissue` and `issue` leave their wish in the database, and it is done within seconds."""
    name = box.enrol("www.example.test")
    with Service(box) as service:
        service.wait_stored(name)
        before = box.row(name, "crt")
        assert f"`certfleet-issuer status {name}` shows" in box.ok("reissue", name).out
        wait_until(lambda: box.row(name, "crt") != before, "it is replaced")
        [handed] = box.ok("issue", name, "--json").report()["certificates"]
        nothing = {"failure": None, "next": None, "next_attempt": None}
        assert handed == {"name": name, "ending": "handed to the daemon", "detail": ""} | nothing
        wait_until(lambda: orders(box) == ["STORED"] * 3, "it is replaced once more")
        box.ok("disable", name)
        box.refused("reissue", name, code=3, says=["leaves disabled ones alone"])


def test_a_port_in_use_is_a_clear_error_at_the_start(box: Box) -> None:
    """If somebody listens on the daemon's address already, it says so and starts nothing. Its exit code lets systemd
    try again: early in a boot the address may not be there yet."""
    with Service(box) as service:
        other = Box(box.folder / "other", box.database)
        other.document["daemon"] = {"listen": f"127.0.0.1:{service.port}"}
        other.write()
        other.ok("init")
        other.refused("daemon", code=1, says=["daemon.listen", f"127.0.0.1:{service.port}", "in use"])


def test_without_an_address_it_listens_nowhere(box: Box) -> None:
    """`listen = ""` switches the pages off."""
    name = box.enrol("www.example.test")
    with Service(box, listen="") as service:
        service.wait_stored(name)
        with pytest.raises(OSError):
            service.get("/healthz")


def test_a_killed_daemon_leaves_an_order_that_the_next_one_finishes(box: Box, slow: Bind) -> None:
    """Killed in the middle of an order, the next start finishes that very order, even if the row was disabled since."""
    name = box.enrol("www.slow.test")
    with Service(box) as service:
        wait_until(lambda: "PUBLISHED" in orders(box), "the order waits for its zone")
        assert service.process is not None
        service.process.kill()
        service.process.wait()
        box.ok("disable", name)
        slow.refresh()
        service.start()
        service.wait_stored(name)
        wait_until(lambda: box.txt(name) == set(), "the challenge is withdrawn")
    assert orders(box) == ["STORED"]


def test_rows_that_somebody_changed_or_took_away_are_told(box: Box) -> None:
    """Although nothing of them is due, and nothing else waits for that."""
    changed, gone = box.enrol("www.example.test"), box.enrol("mail.example.test")
    box.ok("run")
    box.database.execute(f"UPDATE certs SET csr = X'{csr([changed], number=1).hex()}' WHERE name = '{changed}'")  # noqa: S608
    box.database.execute(f"DELETE FROM certs WHERE name = '{gone}'")  # noqa: S608
    third = box.enrol("third.example.test")
    with Service(box) as service:
        told = service.wait_logged("certificate.failed", 2)
        service.wait_stored(third)
        service.end()
    errors = {line["certificate"]: str(line["error"]) for line in told}
    assert "another key than the one that was enrolled" in errors[changed]
    assert "is gone without `remove`" in errors[gone]
