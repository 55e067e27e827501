"""Name server, mail server or database take a call and never answer: a stop ends everything within seconds."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.issuer.daemon.service import QUICK_SECONDS, Service
from tests.issuer.stopping import NAME, resumable, stopped
from tests.servers.bind import Bind
from tests.servers.ca_proxy import CaProxy, Reply, Request
from tests.servers.lab import Lab
from tests.servers.mariadb import MariaDB
from tests.servers.process import wait_until
from tests.servers.silent import Silent

ESTABLISHED = "01"
LEFT = "stopped while a server was silent; the next run goes on from there\n"


@contextmanager
def silent_after(proxy: CaProxy, path: str, server: Bind | MariaDB) -> Iterator[list[Request]]:
    """The server falls silent when the CA is asked for *path* the first time, and answers again after the block."""
    asked: list[Request] = []

    def rule(request: Request, reply: Reply) -> Reply:
        if path in request.path and not asked:
            server.freeze()
            asked.append(request)
        return reply

    proxy.after.append(rule)
    try:
        yield asked
    finally:
        proxy.after.remove(rule)
        server.thaw()


def wait_asked(asked: list[Request]) -> None:
    wait_until(lambda: bool(asked), "the server is silent")
    time.sleep(0.3)  # it is met soon after; who comes later meets it at the end


def called(port: int) -> bool:
    """Does somebody hold a connection to this port, from the near end?"""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return any(line.split()[2:4] == [f"0100007F:{port:04X}", ESTABLISHED] for line in lines)


def in_the_journal(box: Box) -> int:
    [(count,)] = box.database.query("SELECT COUNT(*) FROM challenges")
    return int(count)


def test_a_name_server_silent_at_the_update(proxied: Box, proxy: CaProxy, lab: Lab) -> None:
    """In the middle of publishing: the value is in the journal before it is anywhere else, so the next run knows it."""
    proxied.enrol(NAME)
    with silent_after(proxy, "/authZ/", lab.bind) as asked:
        process = proxied.start("run")
        wait_until(lambda: in_the_journal(proxied) == 1, "the value is in the journal")
        wait_asked(asked)
        code, out, err = stopped(process)
        assert (code, err) == (1, "")
        assert f"{NAME}: stopped\n" in out
        assert in_the_journal(proxied) == 1
    resumable(proxied)


def test_a_name_server_silent_at_the_end(proxied: Box, proxy: CaProxy, lab: Lab) -> None:
    """Stored, and the value cannot be taken back: a stop leaves it to the next run, whose first act is stopped too."""
    proxied.enrol(NAME)
    with silent_after(proxy, "/certZ/", lab.bind) as asked:
        process = proxied.start("run")
        wait_asked(asked)
        wait_until(lambda: [state for state, _ in proxied.orders()] == ["STORED"], "the certificate is stored")
        code, _, err = stopped(process)
        assert (code, err) == (1, "")
        process = proxied.start("run")
        wait_until(lambda: called(lab.bind.port), "it begins with what was left")
        code, _, err = stopped(process)
        assert code == 0
        assert err in ("", LEFT)  # nothing when what is due was looked at beside it, and it had to wait for no more
        assert proxied.database.query("SELECT COUNT(*) FROM challenges") == [(1,)]
    resumable(proxied)


def test_a_daemon_and_a_silent_name_server(proxied: Box, proxy: CaProxy, lab: Lab) -> None:
    """The same for the daemon, in the middle of publishing."""
    proxied.enrol(NAME)
    with silent_after(proxy, "/authZ/", lab.bind) as asked, Service(proxied) as service:
        wait_asked(asked)
        assert service.end() < QUICK_SECONDS
    resumable(proxied)


def test_a_server_that_never_said_a_word(box: Box) -> None:
    """Neither over UDP nor over TCP does the name server of the updates answer, from the start on."""
    box.enrol(NAME)
    right = {key: box.document["dns"][key] for key in ("server", "port")}
    with Silent() as silent:
        box.write(dns={"server": "127.0.0.1", "port": silent.port})
        process = box.start("run")
        assert silent.met.wait(60)
        code, out, err = stopped(process)
        assert (code, err) == (1, "")
        assert f"{NAME}: stopped\n" in out
    box.write(dns=right)
    resumable(box)


def test_a_mail_server_silent_at_the_end_of_a_run(box: Box) -> None:
    """All is done but the mail: the exit code tells how the certificates are, and what was not sent is kept."""
    box.document["notify"] = {"email_to": ["noc@example.com"], "smtp_host": "127.0.0.1"}
    box.populate("a.nowhere.test")
    with Silent() as silent:
        box.document["notify"]["smtp_port"] = silent.port
        box.write()
        process = box.start("run")
        assert silent.met.wait(60)
        code, out, err = stopped(process)
    assert code == 1
    assert "a.nowhere.test: failed;" in out
    assert err.endswith(LEFT)
    assert box.database.query("SELECT COUNT(*) FROM outbox") == [(1,)]


@pytest.mark.sampled
@pytest.mark.parametrize("word", ["run", "daemon"])
def test_a_silent_database(lab: Lab, proxy: CaProxy, tmp_path: Path, word: str) -> None:
    """Not even the leases can be given back: they are our own when the next run finds them."""
    with MariaDB() as server:
        box = Box(tmp_path / "box", server.create_database(), bind=lab.bind)
        box.write(acme={"directory": proxy.directory, "ca_bundle": str(proxy.ca_file)})
        box.set_up()
        box.enrol(NAME)
        with silent_after(proxy, "/order-plz", server) as asked:
            if word == "run":
                process = box.start("run")
                wait_asked(asked)
                assert stopped(process)[::2] == (1, "")
            else:
                with Service(box) as service:
                    wait_asked(asked)
                    assert service.end() < QUICK_SECONDS
        box.ok("run")
        assert [state for state, _ in box.orders()] == ["STORED"]
        assert box.txt(NAME) == set()


def test_a_look_at_a_silent_database(lone_box: Box) -> None:
    """`check` has nothing to tidy up yet, so that SIGTERM ends it at once."""
    with Silent() as silent:
        lone_box.document["database"] = {"url": f"mysql+pymysql://issuer@127.0.0.1:{silent.port}/certfleet"}
        lone_box.write()
        process = lone_box.start("check")
        assert silent.met.wait(QUICK_SECONDS)
        process.send_signal(signal.SIGTERM)
        assert process.wait(QUICK_SECONDS) == -signal.SIGTERM


def test_a_look_at_a_silent_ca(lone_box: Box) -> None:
    """`check` gives its test records a few seconds; it waits for no answer of a CA."""
    with Silent() as silent:
        lone_box.write(acme={"directory": f"https://127.0.0.1:{silent.port}/dir"})
        process = lone_box.start("check")
        assert silent.met.wait(QUICK_SECONDS)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=QUICK_SECONDS)
