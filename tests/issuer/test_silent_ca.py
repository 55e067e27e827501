"""A CA that takes requests and never answers: a stop ends `run`, `issue` and the daemon within seconds all the same."""

import signal
import threading
import time

import pytest

from tests.issuer.box import Box
from tests.issuer.daemon.service import QUICK_SECONDS, Service
from tests.issuer.stopping import NAME, SilentCa, resumable, stopped
from tests.servers.ca_proxy import CaProxy, Reply, Request
from tests.servers.process import START_SECONDS
from tests.servers.stopwatch import wait_ended

PATHS = ["/dir", "/sign-me-up", "/order-plz", "/authZ/", "/certZ/"]


@pytest.mark.sampled
@pytest.mark.parametrize("path", PATHS)
def test_a_run_is_stopped_at_any_request(proxied: Box, proxy: CaProxy, path: str) -> None:
    """Whatever the CA is asked when it falls silent: exit code 1, not a word on standard error, nothing lost."""
    proxied.enrol(NAME)
    with SilentCa(proxy, path) as ca:
        process = proxied.start("run")
        ca.wait_silent()
        code, out, err = stopped(process)
    assert (code, err) == (1, "")
    assert f"{NAME}: stopped\n1 stopped\n" in out
    resumable(proxied)


@pytest.mark.parametrize("path", ["/chalZ/", "/finalize-order/"])
def test_a_stop_when_only_the_answer_is_lost(proxied: Box, proxy: CaProxy, path: str) -> None:
    """At two more steps the CA did what it was asked and does not say so: Ctrl-C ends `issue`, and nothing is ordered
    twice."""
    proxied.enrol(NAME)
    with SilentCa(proxy, path, done=True) as ca:
        process = proxied.start("issue", NAME, "--json")
        ca.wait_silent()
        code, out, err = stopped(process, signal.SIGINT)
    assert (code, err) == (1, "")
    assert '"ending": "stopped"' in out
    assert '"stopped": true' in out
    resumable(proxied)
    assert len(proxy.paths("/order-plz")) == 1


@pytest.mark.soak
def test_a_daemon_with_every_worker_at_a_silent_ca(proxied: Box, proxy: CaProxy) -> None:
    """Four workers sit with the CA and more wait for one: SIGTERM ends all in seconds with 0, no lease kept."""
    names = [NAME, *(f"w{number}.example.test" for number in range(7))]
    proxied.write(acme={"workers": 4})
    for name in names:
        proxied.enrol(name)
    with SilentCa(proxy, "/authZ/") as ca, Service(proxied) as service:
        ca.wait_silent(sitting=4)
        assert service.end() < QUICK_SECONDS
        assert service.logged("daemon.ended")
        assert len(service.logged("attempt.left")) == 4
    assert all(entry["level"] == "info" for entry in service.logged("attempt.left"))
    resumable(proxied)


def test_a_step_that_is_about_to_end_ends(proxied: Box, proxy: CaProxy) -> None:
    """An answer that comes a moment after the stop is still taken: the order stands behind that step, not before it."""
    proxied.enrol(NAME)
    asked, stopping = threading.Event(), threading.Event()

    def answer_after_the_stop(request: Request) -> Reply | None:
        if "/order-plz" in request.path and not asked.is_set():
            asked.set()
            stopping.wait()
            time.sleep(0.5)  # of the two seconds that a step has
        return None

    proxy.before.append(answer_after_the_stop)
    process = proxied.start("run")
    assert asked.wait(START_SECONDS)
    process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    stopping.set()
    stopped(process, signal.SIGCONT)
    [(_, url)] = proxied.orders()
    assert url
    resumable(proxied)


def test_a_second_signal_ends_at_once(proxied: Box, proxy: CaProxy) -> None:
    """Who cannot wait two seconds presses Ctrl-C again; one that comes with the first is the same request."""
    proxied.enrol(NAME)
    with SilentCa(proxy, "/authZ/") as ca:
        process = proxied.start("run")
        ca.wait_silent()
        for both in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT):
            process.send_signal(both)
        assert stopped(process, signal.SIGCONT)[::2] == (1, "")
    with SilentCa(proxy, "/authZ/") as ca:
        process = proxied.start("run")
        ca.wait_silent()
        while not wait_ended(process.pid, 0.1):
            process.send_signal(signal.SIGINT)
        assert process.communicate()[1] == ""
        assert process.returncode == -signal.SIGINT
    proxied.ok("run")
    assert [state for state, _ in proxied.orders()] == ["STORED"]
