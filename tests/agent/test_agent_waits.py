"""Nobody can hold up a run: each wait ends at its deadline, and at once when somebody asks for the end of the run."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.host.sockets import Prober
from agent.host.waits import Waits
from agent.journey.ports import Source
from agent.model.errors import SourceError, Stopped
from agent.rules.evidence import LookAt
from agent.source.mysql import MysqlSource
from agent.source.sqlite import SqliteSource
from common.database_url import MysqlAddress
from common.probe.target import parse_target
from common.probe.view import NO_ANSWER, Seen
from tests.agent.host import AGENT, NAME, Host
from tests.servers.nginx import Nginx
from tests.servers.process import wait_until

ENDLESS = """ALTER TABLE certs RENAME TO held;
CREATE VIEW certs AS WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up)
  SELECT held.* FROM held, up WHERE n < 0"""


def make_endless(host: Host) -> None:
    host.offer_new()
    for statement in ENDLESS.split(";"):
        host.sql(statement)


class Dripping:
    """A server that sends *first* and then a byte of a long answer every tenth of a second, to all who call."""

    def __init__(self, first: bytes) -> None:
        self._first = first
        self._over = threading.Event()
        self.met = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._server.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._drip, args=(self._server.accept()[0],), daemon=True).start()

    def _drip(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.sendall(self._first)
            self.met.set()
            while not self._over.wait(0.1):
                connection.sendall(b"\0")


@pytest.fixture
def dripping_tls() -> Iterator[Dripping]:
    """It begins a TLS record that is not complete for half an hour."""
    with contextlib.closing(Dripping(b"\x16\x03\x03\x40\x00")) as server:
        yield server


@pytest.fixture(params=["mysql", "sqlite"])
def endless(request: pytest.FixtureRequest, host: Host) -> Iterator[Source]:
    """A source that never comes to the end of an answer, and that gets a second for each."""
    if request.param == "sqlite":
        make_endless(host)
        yield SqliteSource(host.database, Waits(), 1.0)
        return
    with contextlib.closing(Dripping(b"\xff\xff\x0e\0")) as server:
        address = MysqlAddress("agent", (("127.0.0.1", server.port),), "certfleet")
        yield MysqlSource(address, "secret", None, Waits(), 1.0)


def test_a_source_whose_answer_never_ends(endless: Source) -> None:
    """The question ends at its deadline, with a sentence; the source is not asked a second time."""
    began = time.monotonic()
    with pytest.raises(SourceError, match="no answer within"):
        endless.marks([NAME])
    assert time.monotonic() - began < 10
    again = time.monotonic()
    with pytest.raises(SourceError, match="no answer within"):
        endless.fetch(NAME)
    assert time.monotonic() - again < 0.9
    endless.close()


def test_sockets_are_looked_at_side_by_side(dripping_tls: Dripping) -> None:
    """A dozen services that drip cost the time of one."""
    targets = [parse_target(f"tls://127.0.0.1:{dripping_tls.port}")] * 12
    began = time.monotonic()
    (sights,) = Prober(0, Waits(), one_look=1.0).look_at_all([LookAt(targets, "", Path(), None)])
    assert [sight.seen for sight in sights] == [Seen.NO_TLS] * 12
    assert time.monotonic() - began < 10


def test_a_look_that_the_machine_has_no_time_for(dripping_tls: Dripping) -> None:
    """It is one that got no answer: no error of the run, which would leave the rest unseen."""
    targets = [parse_target(f"tls://127.0.0.1:{dripping_tls.port}")] * 12
    (sights,) = Prober(0, Waits(), one_look=0.0).look_at_all([LookAt(targets, "", Path(), None)])
    assert {sight.problem for sight in sights} == {NO_ANSWER}


def test_work_that_never_ends() -> None:
    """As a resolver in libc that waits for a silent server: the others' results are there, its place says so."""
    waits, never = Waits(), threading.Event()
    slow, quick, wrong = waits.each_within(0.5, never.wait, [None, 0.0, 1.0e300])
    never.set()
    assert isinstance(slow, TimeoutError)
    assert quick is False
    assert isinstance(wrong, OverflowError)


def test_a_request_to_stop_ends_a_wait_unless_an_install_is_under_way() -> None:
    """Signals are heeded in waits, noted within a block that must not be cut, and given back at the end."""
    waits, usual = Waits(), signal.getsignal(signal.SIGTERM)
    with waits.heeding_signals():
        with waits.unbroken():
            os.kill(os.getpid(), signal.SIGTERM)
            assert waits.within(5, lambda: "done") == "done"
        assert waits.stop_asked
        with pytest.raises(Stopped):
            waits.within(5, lambda: "done")
    assert signal.getsignal(signal.SIGTERM) is usual


def stopped(host: Host, is_waiting: Callable[[], bool]) -> tuple[int, str, float]:
    """Exit code, stderr and seconds until the end of a run that gets SIGTERM once *is_waiting*."""
    process = subprocess.Popen(
        [sys.executable, "-c", AGENT, "run", "--config", str(host.config)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(is_waiting, "the run waits")
        time.sleep(0.2)
        process.terminate()
        began = time.monotonic()
        _, err = process.communicate(timeout=30)
        return process.returncode, err, time.monotonic() - began
    finally:
        process.kill()
        process.wait()


def test_sigterm_while_the_database_drips(host: Host) -> None:
    """The run ends at once, and says what it did not look at."""
    with contextlib.closing(Dripping(b"\xff\xff\x0e\0")) as server:
        (host.folder / "password").touch(mode=0o600)
        (host.folder / "password").write_text("secret\n")
        source = f'url = "mysql://agent@127.0.0.1:{server.port}/certfleet"\npassword_file = "{host.folder}/password"'
        host.configure(source=source)
        code, err, seconds = stopped(host, server.met.is_set)
    assert (code, err) == (1, "stopped on request; 1 certificates were not looked at\n")
    assert seconds < 5


def test_sigterm_while_a_view_computes(host: Host) -> None:
    """The same for an SQLite file whose table is a view without end."""
    host.configure()
    make_endless(host)
    code, err, seconds = stopped(host, (host.state_dir / "lock").exists)
    assert (code, err) == (1, "stopped on request; 1 certificates were not looked at\n")
    assert seconds < 5


def test_sigterm_while_a_service_drips(host: Host, nginx: Nginx, dripping_tls: Dripping) -> None:
    """Before an install nothing is under way: no live file is touched, nothing is left, and the next run installs."""
    issued = host.offer_new()
    before = host.fullchain.read_bytes()
    probe = [f"https://127.0.0.1:{nginx.port}"]
    host.configure(check=nginx.check, activate=nginx.activate, probe=[f"tls://127.0.0.1:{dripping_tls.port}"])
    code, err, seconds = stopped(host, dripping_tls.met.is_set)
    assert (code, err) == (1, "stopped on request; 1 certificates were not looked at\n")
    assert seconds < 4
    assert host.fullchain.read_bytes() == before
    host.configure(check=nginx.check, activate=nginx.activate, probe=probe)
    assert host.run().code == 0
    assert host.fullchain.read_bytes() == issued.fullchain_pem
    assert host.leftovers() == []


def test_sigterm_while_the_check_hangs(host: Host) -> None:
    """The operator's command is ended with the run, and the old files are back."""
    host.offer_new()
    before = host.fullchain.read_bytes()
    flag = host.folder / "checking"
    host.configure(check=["sh", "-c", f"echo $$ > {flag}; sleep 19"])
    code, err, seconds = stopped(host, lambda: flag.exists() and bool(flag.read_text().strip()))
    assert (code, err.splitlines()[-1]) == (1, "stopped on request; 1 certificates were not looked at")
    assert seconds < 5
    assert host.fullchain.read_bytes() == before
    assert host.leftovers() == []
    assert not Path(f"/proc/{flag.read_text().strip()}").exists()
