"""People of a host are told what a run did: by mail, by a command with the facts, by a reboot; failures daily."""

import json
import re
import socket
import stat
import syslog
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.certificate import serial_text
from common.clock import utc_text
from tests.agent.host import NAME, Host
from tests.servers.nginx import Nginx
from tests.servers.ports import LOOPBACK
from tests.servers.smtp import Smtp

SHOWN = "env | grep ^CERTFLEET_ | grep -v ^CERTFLEET_CONFIG | sort >> {file}; echo --- >> {file}"


class Told:
    """A host that tells by a command, which notes what it gets."""

    def __init__(self, host: Host, nginx: Nginx) -> None:
        self.host, self.nginx = host, nginx
        self.file = host.folder / "told"

    def configure(self, head: str, activate: list[str] | None = None) -> None:
        probe = [f"https://127.0.0.1:{self.nginx.port}"]
        self.host.configure(
            check=self.nginx.check, activate=activate or self.nginx.activate, probe=probe, probe_timeout="1s"
        )
        self.host.config.write_text(f"{head}\n{self.host.config.read_text()}")

    @property
    def command(self) -> list[str]:
        return ["sh", "-c", SHOWN.format(file=self.file)]

    def facts(self) -> list[dict[str, str]]:
        """What was told since the last time this was asked."""
        text = self.file.read_text() if self.file.exists() else ""
        self.file.write_text("")
        told = text.split("---\n")[:-1]
        return [dict(line.split("=", 1) for line in one.splitlines() if "=" in line) for one in told]


@pytest.fixture
def told(host: Host, nginx: Nginx) -> Told:
    return Told(host, nginx)


@pytest.fixture
def smtp(tmp_path: Path) -> Iterator[Smtp]:
    with Smtp(tmp_path) as server:
        yield server


def test_a_command_gets_the_facts(told: Told, host: Host) -> None:
    """What is new, once; nothing where nothing is new."""
    told.configure(f"on_install = [{json.dumps(told.command)}]\non_failure = [{json.dumps(told.command)}]")
    issued = host.offer_new()
    assert host.run().code == 0
    (facts,) = told.facts()
    assert facts["CERTFLEET_EVENT"] == "installed"
    assert (facts["CERTFLEET_NAME"], facts["CERTFLEET_STATE"]) == (NAME, "installed")
    assert facts["CERTFLEET_SERIAL"] == serial_text(issued.certificate)
    assert facts["CERTFLEET_FILES"] == str(host.fullchain)
    assert host.run().code == 0
    assert told.facts() == []


def test_a_failure_is_told_once_and_then_daily(told: Told, host: Host) -> None:
    """The reason goes with it; a run that is well ends it, and the next failure is told at once."""
    told.configure(f"on_failure = [{json.dumps(told.command)}]", activate=["true"])
    host.offer(*_sound(host))
    assert host.run().code == 1
    (facts,) = told.facts()
    assert (facts["CERTFLEET_EVENT"], facts["CERTFLEET_STATE"]) == ("failure", "failed")
    assert "does not serve the new certificate" in facts["CERTFLEET_DETAIL"]
    for _ in range(2):
        assert host.run().code == 1
    assert told.facts() == []
    a_day_passes(host)
    assert host.run().code == 1
    assert len(told.facts()) == 1
    told.configure(f"on_failure = [{json.dumps(told.command)}]")
    assert host.run().code == 0
    told.configure(f"on_failure = [{json.dumps(told.command)}]", activate=["true"])
    host.offer(*_sound(host))
    assert host.run().code == 1
    assert len(told.facts()) == 1


def test_a_detail_that_no_environment_takes(told: Told, host: Host) -> None:
    """A NUL in what a command of the service has said ends no run, and people are told all the same."""
    told.configure(f"on_failure = [{json.dumps(told.command)}]", activate=["sh", "-c", r"printf 'a\0b'; exit 1"])
    host.offer(*_sound(host))
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed")
    (facts,) = told.facts()
    assert r"a\x00b" in facts["CERTFLEET_DETAIL"]


def _sound(host: Host) -> tuple[bytes, bytes]:
    issued = host.sign()
    return issued.cert_pem, issued.chain_pem


def a_day_passes(host: Host) -> None:
    """As far as what was told is concerned."""
    file = next((host.state_dir / "records").glob("*.json"))
    document = json.loads(file.read_text())
    document["alarm"]["at"] -= 86400
    file.write_text(json.dumps(document))


def test_one_mail_for_a_run(told: Told, host: Host, smtp: Smtp) -> None:
    """All that is new, and all that is not well, each with why and what to do."""
    settings = f'[notify]\nemail_to = ["noc@example.com"]\nsmtp_host = "{LOOPBACK}"\nsmtp_port = {smtp.port}\n'
    told.configure('on_install = "email"\non_failure = ["email"]')
    host.config.write_text(host.config.read_text().replace("[source]", f"{settings}[source]"))
    issued = host.offer_new()
    host.fill(2)
    host.sql("DELETE FROM certs WHERE name <> ?", [NAME])
    host.offer(issued.cert_pem, issued.chain_pem)
    assert host.run().code == 1
    (letter,) = smtp.letters
    assert letter.recipients == ("noc@example.com",)
    assert letter.subject.endswith("1 not well")
    assert f"{NAME}: installed serial {serial_text(issued.certificate)}" in letter.text
    assert "not-enrolled" in letter.text
    assert "what to do: look at how agent.toml spells it; `certfleet-issuer populate" in letter.text
    host.run()
    assert len(smtp.letters) == 1


OWN_DEVICES = """mount -t tmpfs none "$0"
for one in null urandom; do touch "$0/$one"; mount --bind "/dev/$one" "$0/$one"; done
ln -s "$1" "$0/log"; shift; mount --rbind "$0" /dev; exec "$@" """


def test_a_line_in_syslog(told: Told, host: Host) -> None:
    """Of facility daemon, with what is new as a notice, and what is not well as an error."""
    devices = host.folder / "dev"
    devices.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(host.folder / "log"))
        log.settimeout(5)
        wrap = ["unshare", "--mount", "sh", "-ec", OWN_DEVICES, str(devices), str(host.folder / "log")]
        told.configure('on_install = "syslog"\non_failure = "syslog"')
        issued = host.offer_new()
        assert host.run(wrap=wrap).code == 0
        until = utc_text(issued.certificate.not_valid_after_utc.timestamp())
        words = f"{NAME}: installed serial {serial_text(issued.certificate)} until {until} (installed)"
        assert read(log) == (syslog.LOG_DAEMON | syslog.LOG_NOTICE, words)
        told.configure('on_failure = "syslog"', activate=["true"])
        host.offer_new()
        assert host.run(wrap=wrap).code == 1
        priority, words = read(log)
        assert priority == syslog.LOG_DAEMON | syslog.LOG_ERR
        assert words.startswith(f"{NAME}: failed: the service does not serve the new certificate")


def read(log: socket.socket) -> tuple[int, str]:
    """Priority and text of the next message of the agent (RFC 3164 §4.1)."""
    message = log.recv(4096).decode()
    found = re.fullmatch(r"<(\d+)>\w{3} [ \d]\d \d\d:\d\d:\d\d certfleet-agent\[\d+\]: (.*?)[\n\0]*", message)
    assert found is not None, message
    return int(found[1]), found[2]


def test_what_cannot_be_told_fails_no_run(told: Told, host: Host, smtp: Smtp) -> None:
    """A mail server that is down and a command that fails are logged."""
    smtp.stop()
    settings = f'[notify]\nemail_to = ["noc@example.com"]\nsmtp_host = "{LOOPBACK}"\nsmtp_port = {smtp.port}\n'
    told.configure('on_install = ["email", ["false"], ["/none"], "syslog"]')
    host.config.write_text(host.config.read_text().replace("[source]", f"{settings}[source]"))
    host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (0, "installed")
    assert done.err.count("notice.untold") == 3


@pytest.mark.soak
def test_a_reboot_is_asked_for_once(told: Told, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its delay, in whole minutes, and who wants it: shutdown(8) warns people. Without the word there is none."""
    folder, noted = host.folder / "bin", host.folder / "noted"
    folder.mkdir()
    shutdown = folder / "shutdown"
    shutdown.write_text(f'#!/bin/sh\necho "$@" >> {noted}\n')
    shutdown.chmod(stat.S_IRWXU)
    path = f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin"
    told.configure("")
    host.fill(2)
    assert host.run(wrap=["env", f"PATH={path}"]).code == 0
    assert not noted.exists()
    told.configure('on_install = ["reboot"]\nreboot_delay = "90s"')
    host.fill(2)
    assert host.run(wrap=["env", f"PATH={path}"]).code == 0
    (line,) = noted.read_text().splitlines()
    assert line.startswith("-r +2 certfleet-agent: ")
    assert line.count("example.test") == 2


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ('on_install = "sms"', "must list syslog, email, reboot, ask or commands"),
        ('on_install = [["true"], []]', "must list syslog, email, reboot, ask or commands"),
        ('on_failure = "sms"', "must list syslog, email, reboot or commands"),
        ('on_install = "ask"', 'on_install says "ask", so a person restarts the service'),
        ('on_install = ["ask", "reboot"]', 'cannot hold "reboot" where a person is asked'),
        ('on_failure = ["email", "ask"]', "after a failure the old files are back"),
        ('on_failure = "email"', "must name somebody"),
        ('reboot_delay = "1s"', "reboot_delay"),
    ],
)
def test_settings_that_cannot_be_meant(told: Told, host: Host, head: str, says: str) -> None:
    told.configure(head)
    done = host.agent("status")
    assert done.code == 2
    assert says in done.err


def test_one_certificate_has_its_own(told: Told, host: Host) -> None:
    """Its own list goes first, also an empty one."""
    told.configure(f"on_install = [{json.dumps(told.command)}]")
    host.config.write_text(host.config.read_text().replace("[[certificate]]", "[[certificate]]\non_install = []"))
    host.offer_new()
    assert host.run().code == 0
    assert told.facts() == []
