"""An SFTP host or a web server that takes a call and never answers: a stop ends the run within seconds."""

import itertools
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from common.config_file import load
from common.ssh_limits import SshLimits
from issuer.commands.wiring import build_tools
from issuer.model.config import Settings
from issuer.store.database import Database
from issuer.webroot.webroots import Webroots
from tests.issuer.box import Box
from tests.issuer.http01.conftest import NAME, Remote
from tests.issuer.signing_requests import csr
from tests.issuer.stopping import stopped
from tests.issuer.test_left_overs import leave, swept
from tests.servers.lab import Lab
from tests.servers.silent import Silent
from tests.servers.stopwatch import Stopwatch


@pytest.fixture
def silent() -> Iterator[Silent]:
    """The host."""
    with Silent() as server:
        yield server


def enrol(box: Box, webroot: str) -> None:
    box.ok("populate", NAME, "--csr", "-", "--webroot", webroot, stdin=csr([NAME]))
    box.ok("enable", NAME)


def ends_as_stopped(box: Box, silent: Silent, states: list[str]) -> None:
    process = box.start("run")
    assert silent.met.wait(60)
    code, out, err = stopped(process)
    assert (code, err) == (1, "")
    assert f"{NAME}: stopped\n" in out
    assert box.database.query("SELECT state, lease_owner FROM orders") == [(state, None) for state in states]
    assert box.row(NAME, "count_fail_update") == (0,)


def test_an_sftp_host(box: Box, silent: Silent, remote: Remote, folder: Path) -> None:
    """It sits in the handshake, before the CA was asked for anything."""
    box.document["webroot"] = remote.settings
    box.write()
    enrol(box, f"sftp://nobody@127.0.0.1:{silent.port}{folder}")
    ends_as_stopped(box, silent, [])


def test_a_web_server(box: Box, lab: Lab, silent: Silent, folder: Path) -> None:
    """It sits in its own look at the file; the file and the journal stay for the next run."""
    lab.bind.static_zone("example.test", ["www A 127.0.0.1"])
    lab.bind.reconfigure()
    box.document["webroot"] = {"http_port": silent.port}
    box.write(dns={"resolvers": [lab.bind.endpoint]})
    enrol(box, str(folder))
    ends_as_stopped(box, silent, ["PUBLISHED"])
    assert len([path for path in folder.rglob("*") if path.is_file()]) == 1
    assert box.database.query("SELECT COUNT(*) FROM challenges") == [(1,)]


def test_what_was_left_there(box: Box, remote: Remote) -> None:
    """Hosts that are gone are called once a run each, side by side, however many webroots they had."""
    box.document["webroot"] = remote.settings
    box.write()
    with ExitStack() as stack:
        hosts = [stack.enter_context(Silent()) for _ in range(5)]
        remote.pin(*[remote.sshd.host_key_line().replace(str(remote.sshd.port), str(one.port), 1) for one in hosts])
        settings = load(Settings, box.config)
        [ca] = build_tools(settings, Database(settings.database)).authorities.values()
        value = ca.key_authorization("token")
        for one, number in itertools.product(hosts, range(3)):
            leave(box, NAME, f"sftp://web@127.0.0.1:{one.port}/var/www{number}", value, kind="http-01")
        watch = Stopwatch()
        swept(box, "http-01", Webroots(settings, socket.gethostname(), SshLimits(handshake=3.0)))
        assert watch.seconds() < 10  # one after the other would take fifteen
        assert [one.calls for one in hosts] == [1, 1, 1, 1, 1]
