"""A run that stays while a clock that was far ahead is put right."""

import dataclasses
import math
import threading
from collections.abc import Callable
from pathlib import Path

from common.config_file import load
from issuer.commands.wiring import build_tools
from issuer.loops.run import Pass, Summary, silent
from issuer.model.config import Settings
from issuer.model.outcomes import Ending
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from tests.issuer.box import Box
from tests.issuer.clock import Clock
from tests.servers.bind import Bind
from tests.servers.lab import Lab

NAME = "www.example.test"
_AHEAD = 30 * 86400.0


def put_right(box: Box, meanwhile: Callable[[], None] = lambda: None) -> tuple[Summary, list[str]]:
    """How a run over NAME that stays for two minutes ends, and its lines, if the clock is put right once it waits."""
    clock, lines = Clock(_AHEAD), list[str]()
    settings = load(Settings, box.config)
    database = Database(settings.database)

    def say(*some: str) -> None:
        lines.extend(some)
        if some[0].startswith("waiting for"):
            clock.ahead = 0.0
            meanwhile()

    tools = dataclasses.replace(build_tools(settings, database), clock=clock)
    one_pass = Pass(tools, say, silent)
    running = threading.Thread(target=one_pass.run, args=(Certificates(database).get([NAME]),), kwargs={"stay": 120})
    running.start()
    running.join(60)
    ended_by_itself = not running.is_alive()
    one_pass.stop()
    running.join()
    database.close()
    assert ended_by_itself, lines
    assert "of 1 done" in one_pass.progress
    return one_pass.summary, lines


def test_a_run_does_not_stay_for_a_retry_of_the_wrong_time(box: Box) -> None:
    """The next attempt is a month ahead now, and the run was to stay for minutes: it ends."""
    box.populate(NAME)  # without a sub-zone
    box.write(renewal={"retry": ["20s"]})
    summary, lines = put_right(box)
    assert any("waiting for the next attempt" in line for line in lines), lines
    assert [(each.ending, each.name) for each in summary.news] == [(Ending.FAILED, NAME)]


def test_an_order_under_way_is_finished(box: Box, lab: Lab, tmp_path: Path) -> None:
    """Who waits for DNS goes on with it, as if the clock had been right all the time."""
    with Bind(tmp_path / "secondary", secondary_of=lab.bind, lag_seconds=math.inf) as secondary:
        box.enrol(NAME)
        box.write(dns={"nameservers": [lab.bind.endpoint, secondary.endpoint]})
        summary, lines = put_right(box, secondary.refresh)
    assert summary.endings[NAME].ending is Ending.STORED, lines
