"""Certificates that live too short for the schedule of `run`: it, `status` and `check` say so in one line."""

import time
from collections.abc import Sequence

import pytest

from issuer.model.config import RenewalSettings
from issuer.rules.schedule import longest_life, longest_pause, remembered, too_slow
from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.issuer.fakes.clock import NOW

NAME = "www.example.test"
MINUTE, HOUR, DAY = 60, 3600, 86400
POLICY = RenewalSettings()


def runs_every(seconds: int, count: int = 9) -> list[int]:
    """The moments that are remembered of so many runs, the last one NOW."""
    moments: list[int] = []
    for number in reversed(range(count)):
        moments = remembered(moments, NOW - number * seconds)
    return moments


@pytest.mark.parametrize(
    ("life", "every", "slow"),
    [
        (DAY, DAY, True),
        (6 * DAY, DAY, True),
        (6 * DAY + 16 * HOUR, DAY, True),
        (10 * DAY, DAY, True),  # a third of it is left: three runs
        (45 * DAY, DAY, False),
        (90 * DAY, DAY, False),
        (45 * DAY, 7 * DAY, True),
        (DAY, HOUR, False),
        (6 * DAY, 4 * HOUR, False),
        (DAY, 4 * HOUR, True),
        (HOUR, HOUR, True),
        (HOUR, 5 * MINUTE, True),  # runs so close together are taken for one
    ],
)
def test_how_often_is_often_enough(life: int, every: int, slow: bool) -> None:
    """Four runs have to fit between the moment of renewal and the end."""
    pause = longest_pause(runs_every(every), NOW)
    assert bool(too_slow([(NAME, life)], pause, POLICY)) is slow
    assert not slow or life <= longest_life(pause, POLICY)


@pytest.mark.parametrize(
    ("runs", "pause"),
    [
        ([], None),
        (runs_every(HOUR, 3), None),
        (runs_every(HOUR, 4), HOUR),
        (runs_every(DAY), DAY),
        ([*runs_every(DAY), NOW + 60], DAY),  # one more by hand
        (runs_every(5 * MINUTE, 99), 30 * MINUTE),
    ],
)
def test_what_runs_tell_of_the_schedule(runs: Sequence[int], pause: int | None) -> None:
    """The longest pause of the last four; one by hand after another changes nothing. Fewer tell nothing."""
    known: list[int] = []
    for moment in runs:
        known = remembered(known, moment)
    assert longest_pause(known, NOW) == pause


def test_a_timer_that_stopped_is_a_pause_too() -> None:
    """The time since the last run counts."""
    assert longest_pause(runs_every(HOUR), NOW + 5 * HOUR) == 5 * HOUR


def test_a_clock_that_was_ahead_is_forgotten() -> None:
    """Moments that have not come tell nothing."""
    assert remembered([NOW + DAY], NOW) == [NOW]


def test_what_is_advised() -> None:
    """An hourly run where that is enough, else the daemon; the shortest life, and who else."""
    names = [(f"w{number}", 6 * DAY) for number in range(5)]
    words = too_slow([*names, ("short", DAY)], None, POLICY)
    assert words.startswith("the schedule is too slow for 6 certificates (short, w0, w1 and 3 more): a life of 24h, ")
    assert "runs come once a day, as far as is known; start `run` every hour, or use the daemon" in words
    assert "apart; use the daemon" in too_slow([("short", 2 * HOUR)], HOUR, POLICY)


@pytest.fixture
def short_lived(lone_box: Box) -> Box:
    """A box with one certificate of 24 hours, of which 20 are left."""
    lone_box.populate(NAME)
    lone_box.put_aged(NAME, days=1, left=20 / 24)
    lone_box.database.execute(
        f"UPDATE certs SET ts_last_update = ts_expire - {DAY}, directory = 'https://ca.example/dir'"  # noqa: S608
    )
    lone_box.write(acme={"directory": "https://127.0.0.1:9/dir"})
    return lone_box


def test_run_status_and_check_say_it_once(short_lived: Box) -> None:
    """One line each, in the same words, and --json too; `run -q` stays silent, because all is well now."""
    line = f"the schedule is too slow for {NAME}: a life of 24h, "
    assert short_lived.ok("run").err.count(f"warning: {line}") == 1
    assert short_lived.ok("run", "-q").err == ""
    assert short_lived.ok("status").out.count(line) == 1
    assert short_lived.run("check").out.count(f"warn schedule: {line}") == 1
    for words in (("run",), ("status",)):
        assert short_lived.run(*words, "--json").report()["schedule"].startswith(line)


def test_nothing_is_said_where_something_comes_often_enough(short_lived: Box) -> None:
    """Hourly runs, as the state folder remembers them, or the daemon."""
    now = int(time.time())
    moments = "".join(f"{now - hours * HOUR - 60}\n" for hours in (3, 2, 1, 0))
    (short_lived.state_dir / "runs").write_text(moments, encoding="utf-8")
    assert "schedule" not in short_lived.ok("run").err + short_lived.ok("status").out
    (short_lived.state_dir / "runs").write_text("damaged", encoding="utf-8")
    assert "schedule" in short_lived.ok("status").out
    with Service(short_lived):
        assert "schedule" not in short_lived.ok("status").out


def test_each_run_over_all_is_remembered(short_lived: Box) -> None:
    """Not one for some names: that is no schedule."""
    file = short_lived.state_dir / "runs"
    short_lived.ok("run", NAME)
    assert not file.exists()
    before = int(time.time())
    short_lived.ok("run")
    assert int(file.read_text(encoding="utf-8")) >= before
    assert file.stat().st_mode & 0o077 == 0
