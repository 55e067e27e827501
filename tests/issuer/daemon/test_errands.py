"""What the daemon does beside the orders: never twice at once, later after each failure; and what it leaves alone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from common.errors import CertfleetError
from issuer.loops.backlog import Patience
from issuer.loops.periodic import Errand
from issuer.model.survey import Mark
from tests.servers.process import wait_until


def brought(errand: Errand[int], now: float) -> int | None:
    """What it brings, when it is back."""
    for _ in range(6000):
        found = errand.back(now)
        if found is not None:
            return found
        time.sleep(0.01)
    return None


def test_an_errand_is_done_at_its_interval_and_never_twice_at_once() -> None:
    """While it is out it is not sent again; back, it waits for its interval, unless it is wanted soon."""
    gate, sent, woken = threading.Event(), [], threading.Event()

    def work() -> int:
        sent.append(1)
        gate.wait(60)
        return len(sent)

    errand = Errand("test", work, every=10, wake=woken.set)
    errand.go(0)
    wait_until(lambda: bool(sent), "it is out")
    errand.go(100)
    assert (len(sent), errand.back(0)) == (1, None)
    gate.set()
    assert woken.wait(60)
    assert brought(errand, 0) == 1
    errand.go(9)
    assert errand.back(9) is None
    errand.go(10)
    assert brought(errand, 10) == 2
    errand.soon()
    errand.go(11)
    assert brought(errand, 11) == 3


def test_an_errand_that_fails_waits_longer_each_time() -> None:
    """1, 2, 4 … seconds up to the bound, and its interval again after a success."""
    failing = [True] * 7

    def work() -> int:
        if failing:
            failing.pop()
            raise CertfleetError("away")
        return 1

    errand = Errand("test", work, every=3, wake=lambda: None, longest_pause=30)
    now, pauses = 0.0, []
    while failing:
        errand.go(now)
        with pytest.raises(CertfleetError):
            brought(errand, now)
        pauses.append(errand.pause)
        now += errand.pause
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    errand.go(now - 0.5)
    assert errand.back(now) is None
    errand.go(now)
    assert brought(errand, now) == 1
    assert errand.failures == 0


def test_a_certificate_is_left_alone_until_its_moment() -> None:
    """After a failure that could not be written down the row still looks due, and is not tried before its moment."""
    patience, mark = Patience(), Mark("a", None, 0, "")
    assert patience.wanted([mark], 0) == [mark]
    patience.leave(mark, 60)
    assert patience.wanted([mark], 59) == []
    assert patience.wanted([mark], 60) == [mark]


def test_what_somebody_asks_for_by_hand_is_not_left_alone() -> None:
    """`reissue` counts at once, but the very wish that has just failed does not."""
    patience, mark = Patience(), Mark("a", 5, 1, "")
    patience.leave(mark, 60)
    wish = Mark("a", None, 1, "asked for by hand")
    assert patience.wanted([wish], 1) == [wish]
    patience.leave(wish, 60)
    assert patience.wanted([wish], 2) == []


def test_a_certificate_enrolled_anew_is_looked_at_at_once() -> None:
    """What the database no longer counts as due is forgotten, so a name removed and enrolled again starts afresh."""
    patience, mark = Patience(), Mark("a", None, 0, "")
    patience.leave(mark, 86400)
    assert patience.wanted([mark], 1) == []
    assert patience.wanted([], 2) == []
    assert len(patience) == 0
    assert patience.wanted([mark], 3) == [mark]


def test_patience_has_many_hands() -> None:
    """Loop and errand use it at the same time."""
    patience = Patience()
    marks = [Mark(str(number), None, 0, "") for number in range(200)]

    def hurry(mark: Mark) -> None:
        patience.leave(mark, 10)
        patience.wanted(marks, 1)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hurry, marks))
    assert patience.wanted(marks, 1) == []
