"""A command that is asked to end while a server is silent, and what it owes then."""

import signal
import threading

from tests.issuer.box import Box
from tests.servers.ca_proxy import CaProxy, Reply, Request, json_reply
from tests.servers.forks import Forked
from tests.servers.process import wait_until
from tests.servers.stopwatch import Stopwatch, wait_ended

NAME = "www.example.test"
SECONDS = 5.0  # as promised; less than any server is waited for


def stopped(process: Forked, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
    """Exit code and output of a process that is asked to end, and does so within seconds."""
    watch = Stopwatch(process.pid)
    process.send_signal(number)
    if not wait_ended(process.pid, 60):
        process.kill()
    took = watch.seconds()
    out, err = process.communicate()
    assert took < SECONDS, f"{took:.1f} s\n{out}\n{err}"
    return process.wait(), out, err


def resumable(box: Box) -> None:
    """The order is nobody's, nothing was counted as a failure, and the next run finishes it and leaves nothing."""
    under_way = "active_name IS NOT NULL AND lease_owner IS NOT NULL"
    assert box.database.query(f"SELECT lease_owner FROM orders WHERE {under_way}") == []  # noqa: S608
    assert box.row(NAME, "count_fail_update", "last_error") == (0, None)
    box.ok("run")
    assert {state for state, _ in box.orders()} == {"STORED"}
    assert len(box.orders(NAME)) == 1
    assert box.txt(NAME) == set()
    assert box.database.query("SELECT * FROM challenges") == []


class SilentCa:
    """From the first request for *path* on, the CA takes every request and answers none, until the end of the block.

    *done*: Pebble still hears that first one, and only its answer is lost.
    """

    def __init__(self, proxy: CaProxy, path: str, *, done: bool = False) -> None:
        self._proxy = proxy
        self._path = path
        self._done = done
        self._sitting = 0
        self._over = threading.Event()

    def __enter__(self) -> "SilentCa":
        self._proxy.before.append(self._before)
        self._proxy.after.append(self._after)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._proxy.before.remove(self._before)
        self._proxy.after.remove(self._after)
        self._over.set()

    def wait_silent(self, sitting: int = 1) -> None:
        """Until so many requests sit with it."""
        wait_until(lambda: self._sitting >= sitting, f"the CA is asked for {self._path}")

    def _before(self, request: Request) -> Reply | None:
        if self._sitting or (self._path in request.path and not self._done):
            self._sit()
            return json_reply({}, 503)  # to nobody: who asked is gone
        return None

    def _after(self, request: Request, reply: Reply) -> Reply:
        if self._path in request.path and self._done:
            self._sit()
        return reply

    def _sit(self) -> None:
        self._sitting += 1
        self._over.wait()
