"""The issuer's daemon under a real systemd, by the unit as it is shipped."""

import json
import math
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.deploy.machine import CONFIG, DAEMON, Central
from tests.servers.bind import Bind
from tests.servers.ports import LOOPBACK, free_port, release_port
from tests.servers.process import wait_until


def said(central: Central, event: str) -> list[dict[str, object]]:
    """What the daemon has logged of one kind. Each of its lines in the journal has to be JSON."""
    entries = central.machine.journal(DAEMON)
    own = [entry for entry in entries if entry["_TRANSPORT"] == "stdout"]
    return [line for line in (json.loads(entry["MESSAGE"]) for entry in own) if line["event"] == event]


def state(central: Central) -> tuple[str, ...]:
    return central.machine.show(DAEMON, "ActiveState", "SubState", "NRestarts", "Result")


def test_it_starts_issues_and_stops(central: Central) -> None:
    """`start` returns when it is ready; it issues within its sandbox, says how it is, logs JSON, and stops at once."""
    name = central.enrol("www.example.test")
    central.machine.run("systemctl", "enable", "--now", DAEMON)
    assert state(central) == ("active", "running", "0", "success")
    wait_until(lambda: central.stored(name), "it is issued")
    wait_until(lambda: central.machine.show(DAEMON, "StatusText") == ("0 at work, 0 waiting",), "it says how it is")
    assert said(central, "certificate.stored")[0]["certificate"] == name
    began = time.monotonic()
    central.machine.run("systemctl", "stop", DAEMON)
    assert time.monotonic() - began < 5
    assert state(central) == ("inactive", "dead", "0", "success")
    assert said(central, "daemon.ended")
    by_syslog = [entry for entry in central.machine.journal(DAEMON) if entry["_TRANSPORT"] == "syslog"]
    assert any("event=certificate.stored" in entry["MESSAGE"] for entry in by_syslog)


@pytest.mark.soak
def test_a_reload_with_a_good_and_a_broken_configuration(central: Central) -> None:
    """`reload` takes a good one; instead of a bad one it keeps the old one, and `systemctl status` says so."""
    central.machine.run("systemctl", "start", DAEMON)
    central.configure("[renewal]\ndays_left = 'many'\n")
    central.machine.run("systemctl", "reload", DAEMON)
    wait_until(lambda: bool(said(central, "configuration.kept")), "the broken one is refused")
    assert "days_left" in str(said(central, "configuration.finding")[0]["finding"])
    wait_until(lambda: state(central) == ("active", "running", "0", "success"), "it is no longer reloading")
    refused = ("0 at work, 0 waiting; the changed configuration is refused, the old one is in use",)
    wait_until(lambda: central.machine.show(DAEMON, "StatusText") == refused, "`systemctl status` says so")
    central.configure("[renewal]\ndays_left = 3\n")
    central.machine.run("systemctl", "reload", DAEMON)
    wait_until(lambda: bool(said(central, "configuration.taken")), "the good one is taken")
    wait_until(lambda: state(central) == ("active", "running", "0", "success"), "it is no longer reloading")
    wait_until(lambda: central.machine.show(DAEMON, "StatusText") == ("0 at work, 0 waiting",), "all is well again")
    name = central.enrol("www.example.test")
    wait_until(lambda: central.stored(name), "it is issued")


@pytest.mark.soak
def test_a_configuration_that_is_wrong_at_the_start_is_for_a_person(central: Central) -> None:
    """`start` fails with the findings in the journal, and it is not tried again."""
    central.machine.edit(f"{DAEMON}.service", "RestartSec=100ms")
    central.machine.write(CONFIG, "[daemon]\nlisten = 7\n", owner="certfleet")
    central.machine.run("systemctl", "start", DAEMON, code=1)
    time.sleep(0.5)
    assert state(central) == ("failed", "failed", "0", "exit-code")
    assert any("daemon.listen" in entry["MESSAGE"] for entry in central.machine.journal(DAEMON))


@pytest.mark.soak
def test_an_address_that_is_not_there_yet_is_waited_for(central: Central) -> None:
    """As early in a boot: the start fails, and a later one does not, without a person."""
    central.machine.edit(f"{DAEMON}.service", "RestartSec=3s")
    port = free_port()
    with socket.create_server((LOOPBACK, port)):
        central.configure(f'[daemon]\nlisten = "{LOOPBACK}:{port}"\n')
        central.machine.run("systemctl", "start", DAEMON, code=1)
        wait_until(lambda: state(central)[2] != "0", "it is started again")
    wait_until(lambda: state(central)[:2] == ("active", "running"), "it listens")
    release_port(port)


@pytest.mark.soak
def test_the_watchdog_leaves_a_good_one_alone_and_replaces_a_frozen_one(central: Central, tmp_path: Path) -> None:
    """Fed over many intervals it stays; frozen in the middle of an order it is started again and finishes it."""
    central.machine.edit(f"{DAEMON}.service", "WatchdogSec=4s", "RestartSec=100ms")
    with Bind(tmp_path / "slow", secondary_of=central.lab.bind, lag_seconds=math.inf) as slow:
        both = f'nameservers = ["{central.lab.bind.endpoint}", "{slow.endpoint}"]'
        central.text = central.text.replace(f'nameservers = ["{central.lab.bind.endpoint}"]', both)
        central.configure()
        name = central.enrol("www.example.test")
        slow.reconfigure()
        central.machine.run("systemctl", "start", DAEMON)
        orders = "SELECT state, url FROM orders"
        wait_until(lambda: [s for s, _ in central.query(orders)] == ["PUBLISHED"], "it waits for DNS")
        [(_, url)] = central.query(orders)
        time.sleep(12)
        assert state(central) == ("active", "running", "0", "success")
        central.machine.run("systemctl", "kill", "--kill-who=main", f"--signal={signal.SIGSTOP.value}", DAEMON)
        wait_until(lambda: state(central)[2] == "1", "systemd starts it again")
        assert any("Watchdog timeout" in entry["MESSAGE"] for entry in central.machine.journal(DAEMON))
        slow.refresh()
        wait_until(lambda: central.stored(name), "it is issued")
        assert central.query(orders) == [["STORED", url]]
    assert state(central)[:3] == ("active", "running", "1")
