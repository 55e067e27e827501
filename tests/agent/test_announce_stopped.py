"""A request to stop, before and while people are told what a run did."""

import contextlib
import json
from pathlib import Path

from tests.agent.host import Host
from tests.agent.test_agent_waits import Dripping, stopped
from tests.servers.ports import LOOPBACK


def at_the_top(host: Host, line: str) -> None:
    host.config.write_text(f"{line}\n{host.config.read_text()}")


def test_a_stop_during_an_install(host: Host) -> None:
    """What came to its end is told, by a command that may be what makes the certificate used."""
    flag, told = host.folder / "activating", host.folder / "told"
    host.configure(activate=["sh", "-c", f"echo > {flag}; sleep 1"])
    host.fill(2)
    hook = ["sh", "-c", f'sleep 1; echo "$CERTFLEET_EVENT $CERTFLEET_NAME" >> {told}']
    at_the_top(host, f"on_install = [{json.dumps(hook)}]")
    code, err, _ = stopped(host, flag.exists)
    assert "Traceback" not in err
    assert f"installed {host.name}\n" in told.read_text()
    assert (code, told.read_text().count("\n")) == ((0, 2) if "not looked at" not in err else (1, 1))


def test_a_command_that_hangs(host: Host) -> None:
    """It is ended with the run, which has looked at every certificate."""
    flag = host.folder / "telling"
    host.configure()
    host.offer_new()
    hook = ["sh", "-c", f"echo $$ > {flag}; sleep 19"]
    at_the_top(host, f"on_install = [{json.dumps(hook)}]")
    code, err, seconds = stopped(host, lambda: flag.exists() and bool(flag.read_text().strip()))
    assert (code, "notice.untold" in err, "Traceback" in err) == (0, True, False)
    assert seconds < 5
    assert not Path(f"/proc/{flag.read_text().strip()}").exists()


def test_a_mail_server_that_drips(host: Host) -> None:
    """The mail is given up with the run."""
    host.configure()
    host.offer_new()
    with contextlib.closing(Dripping(b"220-")) as server:
        settings = f'[notify]\nemail_to = ["noc@example.com"]\nsmtp_host = "{LOOPBACK}"\nsmtp_port = {server.port}\n'
        host.config.write_text(host.config.read_text().replace("[source]", f"{settings}[source]"))
        at_the_top(host, 'on_install = "email"')
        code, err, seconds = stopped(host, server.met.is_set)
    assert (code, "notice.untold" in err) == (0, True)
    assert seconds < 5
