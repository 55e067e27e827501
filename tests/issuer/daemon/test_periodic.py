"""What the daemon does beside the orders: never twice at once, later after each failure; and what it leaves alone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from common.errors import CertfleetError
from issuer.loops import periodic
from issuer.loops.backlog import Backlog
from issuer.loops.daemon import Daemon
from issuer.loops.health import Health
from issuer.loops.metrics import Metrics
from issuer.loops.periodic import Periodic
from issuer.loops.systemd import Systemd
from issuer.model.survey import DueRow
from tests.servers.process import wait_until


def brought(periodic: Periodic[int], now: float) -> int | None:
    """What it brings, when it is back."""
    for _ in range(6000):
        found = periodic.result(now)
        if found is not None:
            return found
        time.sleep(0.01)
    return None


@pytest.mark.parametrize("name", ["_hosts", "_rows", "_reports"])
def test_a_look_that_waited_for_a_silent_party_comes_again_within_ten_minutes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pause after it grows with the time that it took, and that may have been a minute of silence of the CAs."""
    tools: Any = SimpleNamespace(stamps={}, tools=SimpleNamespace(clock=time.time))
    health = Health(time.monotonic)
    daemon = Daemon(lambda _: tools, systemd=Systemd({}), health=health, numbers=Metrics("0", health, time.time))
    look = getattr(daemon, name)
    looks: list[int] = []
    look.work = lambda: looks.append(1)
    monkeypatch.setattr(periodic, "time", SimpleNamespace(monotonic=iter([0.0, 60.0]).__next__))
    look.start(0)
    wait_until(lambda: bool(looks) and look._under_way.done(), "it is back")
    look.result(0)
    assert 60 < look._next_at <= 600


def test_periodic_work_is_done_at_its_interval_and_never_twice_at_once() -> None:
    """While it is out it is not sent again; back, it waits for its interval, unless it is wanted soon."""
    gate, sent, woken = threading.Event(), [], threading.Event()

    def work() -> int:
        sent.append(1)
        gate.wait(60)
        return len(sent)

    periodic = Periodic("test", work, every=10, wake=woken.set)
    periodic.start(0)
    wait_until(lambda: bool(sent), "it is out")
    periodic.start(100)
    assert (len(sent), periodic.result(0)) == (1, None)
    gate.set()
    assert woken.wait(60)
    assert brought(periodic, 0) == 1
    periodic.start(9)
    assert periodic.result(9) is None
    periodic.start(10)
    assert brought(periodic, 10) == 2
    periodic.soon()
    periodic.start(11)
    assert brought(periodic, 11) == 3


def test_periodic_work_that_fails_waits_longer_each_time() -> None:
    """1, 2, 4 … seconds up to the bound, and its interval again after a success."""
    failing = [True] * 7

    def work() -> int:
        if failing:
            failing.pop()
            raise CertfleetError("away")
        return 1

    periodic = Periodic("test", work, every=3, wake=lambda: None, longest_pause=30)
    now, pauses = 0.0, []
    while failing:
        periodic.start(now)
        with pytest.raises(CertfleetError):
            brought(periodic, now)
        pauses.append(periodic.pause)
        now += periodic.pause
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    periodic.start(now - 0.5)
    assert periodic.result(now) is None
    periodic.start(now)
    assert brought(periodic, now) == 1
    assert periodic.failures == 0


def test_slow_work_takes_its_share_of_the_time() -> None:
    """The pause after it is a hundred times as long as it took, but never longer than the bound."""
    done: list[int] = []

    def work() -> int:
        time.sleep(0.05)
        done.append(1)
        return len(done)

    periodic = Periodic("test", work, every=1, wake=lambda: None, share=100, longest=60)
    periodic.start(0)
    assert brought(periodic, 0) == 1
    periodic.start(4.9)
    assert (periodic.result(4.9), done) == (None, [1])
    periodic.start(60)
    assert brought(periodic, 60) == 2


def test_a_certificate_is_left_alone_until_its_moment() -> None:
    """After a failure that could not be written down the row still looks due, and is not tried before its moment."""
    backlog, row = Backlog(), DueRow("a", None, 0, "")
    assert backlog.ready([row], 0) == [row]
    backlog.defer(row, 60, 0)
    assert backlog.ready([row], 59) == []
    assert backlog.ready([row], 60) == [row]


def test_what_somebody_asks_for_by_hand_is_not_left_alone() -> None:
    """`reissue` counts at once, but the very wish that has just failed does not."""
    backlog, row = Backlog(), DueRow("a", 5, 1, "")
    backlog.defer(row, 60, 0)
    wish = DueRow("a", None, 1, "asked for by hand")
    assert backlog.ready([wish], 1) == [wish]
    backlog.defer(wish, 60, 0)
    assert backlog.ready([wish], 2) == []


def test_a_change_of_the_row_is_noticed_a_little_later() -> None:
    """A person has lifted a hold, or wants what failed tried again; what our own attempt has just written is none."""
    backlog = Backlog()
    backlog.defer(DueRow("a", None, 0, ""), 86400, 0)
    lifted = DueRow("a", 1, 0, "")
    assert backlog.ready([lifted], 9) == []
    assert backlog.ready([lifted], 10) == [lifted]


def test_a_certificate_enrolled_anew_is_looked_at_at_once() -> None:
    """What the database no longer counts as due is forgotten, so a name removed and enrolled again starts afresh."""
    backlog, row = Backlog(), DueRow("a", None, 0, "")
    backlog.defer(row, 86400, 0)
    assert backlog.ready([row], 1) == []
    assert backlog.ready([], 2) == []
    assert len(backlog) == 0
    assert backlog.ready([row], 3) == [row]


def test_a_backlog_has_many_hands() -> None:
    """The loop and a periodic work use it at the same time."""
    backlog = Backlog()
    rows = [DueRow(str(number), None, 0, "") for number in range(200)]

    def hurry(row: DueRow) -> None:
        backlog.defer(row, 10, 0)
        backlog.ready(rows, 1)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hurry, rows))
    assert backlog.ready(rows, 1) == []


def test_the_same_request_again_is_heard_within_a_minute() -> None:
    """A request that a hold of the CA answered, made again once the hold is lifted, looks the same in the database."""
    backlog, request = Backlog(), DueRow("a", None, 0, "asked for by hand")
    backlog.defer(request, 86400, 0)
    assert backlog.ready([request], 59) == []
    assert backlog.ready([request], 61) == [request]


def test_what_was_deferred_by_a_clock_that_was_ahead() -> None:
    """It is ready as soon as the clock is right; a clock that is put back by minutes changes nothing."""
    backlog, row = Backlog(), DueRow("a", None, 0, "")
    backlog.defer(row, 2000, 1000)
    assert backlog.ready([row], 500) == []
    backlog.defer(row, 30 * 86400 + 60, 30 * 86400)
    assert backlog.ready([row], 1000) == [row]
    assert len(backlog) == 0
