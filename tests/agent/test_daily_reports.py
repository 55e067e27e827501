"""What the issuer's side hears of a host to which nothing happens, and what is said where it hears nothing."""

import os
import re
import time
from pathlib import Path

from tests.agent.accounts import Agents
from tests.agent.host import NAME, Host

DAY = 86400


def age(host: Host, seconds: float) -> None:
    """Let the last confirmation have been so long ago."""
    moment = time.time() - seconds
    os.utime(host.state_dir / "confirmed", (moment, moment))


def reported_at(host: Host) -> list[int]:
    return [row[0] for row in host.sql("SELECT ts_report FROM installations ORDER BY name")]


def _stamps(host: Host) -> dict[Path, int]:
    """When each file of the state folder was written; not those that every run writes."""
    return {file: file.stat().st_mtime_ns for file in host.state_dir.rglob("*") if file.name not in ("lock", "ran")}


def test_a_quiet_host_confirms_its_reports_once_a_day(host: Host) -> None:
    """All of them, after twenty hours; before that a run without news writes nothing but the lock and its date."""
    host.configure()
    host.fill(3)
    assert host.run().code == 0
    host.sql("UPDATE installations SET ts_report = 5, detail = 'as it was'")
    before = _stamps(host)
    assert host.run().code == 0
    assert reported_at(host) == [5, 5, 5]
    assert _stamps(host) == before
    age(host, 21 * 3600)
    assert host.run().code == 0
    assert all(time.time() - 60 < moment for moment in reported_at(host))
    assert host.sql("SELECT DISTINCT detail FROM installations") == [("as it was",)]


def test_a_run_of_one_certificate_confirms_nothing(host: Host) -> None:
    """Else a daily run could find the day used up by it, and the others would seem silent."""
    host.configure()
    host.fill(2)
    assert host.run().code == 0
    host.sql("UPDATE installations SET ts_report = 5")
    age(host, 2 * DAY)
    assert host.run(NAME).code == 0
    assert reported_at(host) == [5, 5]


def test_a_confirmation_in_the_future_does_not_count(host: Host) -> None:
    """A clock that was years ahead for one run does not make the host silent for years."""
    host.configure()
    host.offer_new()
    assert host.run().code == 0
    host.sql("UPDATE installations SET ts_report = 5")
    age(host, -1000 * DAY)
    assert host.run().code == 0
    assert reported_at(host) != [5]


def test_reports_that_are_gone_are_sent_again(host: Host) -> None:
    """A database restored from a backup, or rows that somebody deleted."""
    host.configure()
    host.fill(2)
    assert host.run().code == 0
    host.sql("DELETE FROM installations WHERE name = ?", [NAME])
    age(host, DAY)
    assert host.run().code == 0
    assert sorted(host.sql("SELECT name, state FROM installations")) == [
        ("host001.example.test", "unprovable"),
        (NAME, "unprovable"),
    ]


def test_a_report_that_nobody_takes_for_a_day(own_agents: Agents, host: Host) -> None:
    """A server that is read-only: all is well on the host, and after a day the exit code says that nobody knows."""
    own_agents.server.read_only(True)
    assert host.run().code == 0
    record = next((host.state_dir / "records").iterdir())
    record.write_text(re.sub(r'"unsent": (\d+)', lambda found: f'"unsent": {int(found[1]) - DAY}', record.read_text()))
    done = host.agent("run", "-q")
    assert done.code == 1
    assert f"{NAME}: the issuer's side has not been told since " in done.err
    assert host.agent("status").code == 1
    assert "has not been told since" in host.agent("status").out
    assert host.agent("status", "--json").certificate["well"] is False
    own_agents.server.read_only(False)
    assert (host.run().code, host.agent("status").code) == (0, 0)


def test_a_confirmation_that_nobody_takes_for_a_day(own_agents: Agents, host: Host) -> None:
    """The same when nothing has changed on the host: what is not confirmed waits like any report."""
    assert host.run().code == 0
    own_agents.server.read_only(True)
    age(host, DAY)
    done = host.run()
    assert (done.code, "report.unsent" in done.err) == (0, True)
    assert host.agent("status", "--json").certificate["report_unsent"] is True
    own_agents.server.read_only(False)
    own_agents.database.execute("UPDATE installations SET ts_report = 5")
    done = host.run()
    assert (done.code, done.err) == (0, "")
    assert own_agents.database.query("SELECT ts_report > 5 FROM installations") == [(1,)]
