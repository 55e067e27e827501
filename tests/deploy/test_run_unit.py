"""The issuer's daily run under a real systemd, by the unit and the timer as they are shipped."""

import time
from pathlib import Path

import pytest

from tests.deploy.machine import DAEMON, STATE, Central
from tests.servers.process import wait_until
from tests.servers.smtp import Smtp

RUN = "certfleet-issuer"
ONE_ROUND = '[renewal]\nmax_run = "0s"\nretry = ["1s"]\n'
ALLOW = "under systemd, name that folder in ReadWritePaths= of the unit"
WEBROOT = "/var/www/html"


def run(central: Central, code: int = 0) -> str:
    """One run by the unit, which ends well or with exit code 1; what the journal has of it since it began."""
    before = len(central.machine.journal(RUN))
    central.machine.run("systemctl", "start", RUN, code=1 if code else 0)
    assert central.machine.show(RUN, "ExecMainStatus") == (str(code),)
    return "\n".join(str(entry["MESSAGE"]) for entry in central.machine.journal(RUN)[before:])


def test_a_run_that_is_well_and_one_that_is_not(central: Central, tmp_path: Path) -> None:
    """It issues from within its sandbox; a failure is a failed unit, and a mail."""
    with Smtp(tmp_path) as smtp:
        mail = f'[notify]\nemail_to = ["noc@example.com"]\nsmtp_host = "127.0.0.1"\nsmtp_port = {smtp.port}\n'
        central.configure(ONE_ROUND + mail)
        name = central.enrol("www.example.test")
        run(central)
        assert central.stored(name)
        central.populate("www.nowhere.test")
        run(central, code=1)
        assert central.machine.show(RUN, "ActiveState", "Result") == ("failed", "exit-code")
        [letter] = smtp.letters
        assert letter.subject.startswith("certfleet: www.nowhere.test failed on ")


@pytest.mark.soak
def test_a_webroot_is_written_when_the_unit_allows_it(central: Central) -> None:
    """As shipped the unit keeps it from the webroot, and the error says what to do; with the lines of docs/http-01.md
    it validates, through a web server under another account."""
    machine, lab = central.machine, central.lab
    bind = f'resolvers = ["{lab.bind.endpoint}"]\n'
    central.text = central.text.replace("[log]", f"{bind}[webroot]\nhttp_port = {lab.pebble.http_port}\n[log]")
    central.configure(ONE_ROUND)
    site = f"server {{ listen 127.0.0.1:{lab.pebble.http_port}; root {WEBROOT}; }}"
    machine.write("/etc/nginx/conf.d/site.conf", site)
    machine.run("install", "-d", f"{WEBROOT}/.well-known")
    challenges = f"{WEBROOT}/.well-known/acme-challenge"
    machine.run("install", "-d", "-o", "certfleet", "-g", "certfleet", challenges)
    machine.run("systemctl", "start", "nginx")
    lab.bind.static_zone("example.test", ["www A 127.0.0.1"])
    name = central.enrol("www.example.test", "--webroot", WEBROOT)
    assert ALLOW in run(central, code=1)
    machine.edit(f"{RUN}.service", f"ReadWritePaths={challenges}")
    time.sleep(1)
    run(central)
    assert central.stored(name)
    assert list(machine.path(challenges).iterdir()) == []


@pytest.mark.soak
def test_a_database_file_elsewhere_when_the_unit_allows_it(central: Central) -> None:
    """An SQLite file outside the state folder wants its folder in ReadWritePaths, and the error says so."""
    central.database = "/srv/certfleet/certfleet.db"
    central.machine.run("install", "-d", "-o", "certfleet", "-g", "certfleet", "-m", "0700", "/srv/certfleet")
    central.configure(f'{ONE_ROUND}[database]\nurl = "sqlite:///{central.database}"\n')
    central.command("db", "upgrade")
    name = central.enrol("www.example.test")
    assert ALLOW in run(central, code=1)
    central.machine.edit(f"{RUN}.service", "ReadWritePaths=/srv/certfleet")
    run(central)
    assert central.stored(name)


@pytest.mark.soak  # test_agent_unit.py has the same of the agent's timer
def test_the_timer_makes_up_for_a_run_that_was_missed(central: Central) -> None:
    """After a night with the machine off the timer runs at once; the daemon takes the timer's place."""
    central.configure(ONE_ROUND)
    name = central.enrol("www.example.test")
    central.machine.missed(f"{RUN}.timer")
    central.machine.edit(f"{RUN}.timer", "RandomizedDelaySec=0", section="Timer")
    central.machine.run("systemctl", "enable", "--now", f"{RUN}.timer")
    wait_until(lambda: central.stored(name), "the timer has started a run")
    wait_until(lambda: central.machine.show(RUN, "ActiveState") == ("inactive",), "the run has ended")
    central.machine.run("systemctl", "start", DAEMON)
    assert central.machine.show(f"{RUN}.timer", "ActiveState") == ("inactive",)
    assert central.machine.run("stat", "-c", "%U %a", STATE) == "certfleet 700\n"
