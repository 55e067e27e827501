"""How much life is left of what is in place, by table; and what a run says of it."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agent.model.offer import Mark
from agent.model.result import Installed, Outcome, Result
from agent.model.waiting import Postponed
from agent.rules.standing import standing
from tests.agent.host import Host, agent_ahead
from tests.servers.nginx import Nginx

NOW, DAY, HOUR = 1_800_000_000, 86400, 3600


def in_place(life: float, left: float, outcome: Outcome = Outcome.INSTALLED, detail: str = "") -> Result:
    """A certificate of *life* seconds with *left* seconds of it at NOW."""
    end = int(NOW + left)
    return Result("a.test", outcome, detail, installed=Installed("", "01", end, Mark(1, 1), {}, "", end - int(life)))


@pytest.mark.parametrize(
    ("life", "left", "outcome"),
    [
        (90 * DAY, 30 * DAY, Outcome.INSTALLED),
        (90 * DAY, 15 * DAY, Outcome.INSTALLED),
        (90 * DAY, 15 * DAY - 1, Outcome.ENDING),
        (90 * DAY, 1, Outcome.ENDING),
        (90 * DAY, 0, Outcome.EXPIRED),
        (90 * DAY, -DAY, Outcome.EXPIRED),
        (47 * DAY, 8 * DAY, Outcome.INSTALLED),
        (47 * DAY, 7 * DAY, Outcome.ENDING),
        (6 * DAY, 25 * HOUR, Outcome.INSTALLED),  # renewed at half of its life, taken by the daily run after that
        (6 * DAY, 23 * HOUR, Outcome.ENDING),
        (5 * 365 * DAY, 31 * DAY, Outcome.INSTALLED),
        (5 * 365 * DAY, 29 * DAY, Outcome.ENDING),
    ],
)
def test_the_life_left(life: float, left: float, outcome: Outcome) -> None:
    """Less than a sixth and less than 30 days is little; it says how much, and what to do."""
    found = standing(in_place(life, left), NOW)
    assert found.outcome is outcome
    assert bool(found.detail) is bool(found.hint) is not outcome.is_well


@pytest.mark.parametrize(("left", "outcome"), [(15 * DAY - 1, Outcome.INSTALLED), (0, Outcome.EXPIRED)])
def test_a_newer_one_that_waits_for_its_window_has_come(left: float, outcome: Outcome) -> None:
    waits = replace(in_place(90 * DAY, left), postponed=Postponed("02", "Sun 02:00-04:00", NOW + DAY))
    assert standing(waits, NOW).outcome is outcome


@pytest.mark.parametrize(
    ("serial", "opens"),
    [("02", NOW - 2 * DAY), ("01", NOW + DAY)],
    ids=["no run since its window", "the same with other settings"],
)
def test_one_that_waits_no_more_hides_no_end(serial: str, opens: int) -> None:
    """The agent may have stopped running; and what waits may be the certificate in place, for a new file."""
    waits = replace(in_place(90 * DAY, 2 * DAY), postponed=Postponed(serial, "Sun 02:00-04:00", opens))
    assert standing(waits, NOW).outcome is Outcome.ENDING


@pytest.mark.parametrize("outcome", list(Outcome))
def test_an_end_is_said_of_what_is_in_place(outcome: Outcome) -> None:
    """What is not well for another reason keeps its state; a doubt about the service stays beside the end."""
    found = standing(in_place(90 * DAY, -1, outcome, "why"), NOW)
    doubtful = outcome in {Outcome.UNPROVEN, Outcome.INCOMPLETE}
    ended = doubtful or outcome in {Outcome.INSTALLED, Outcome.UNPROVABLE, Outcome.ENDING}
    assert found.outcome is (Outcome.EXPIRED if ended else outcome)
    assert ("why" in found.detail) is (doubtful or not ended)


@pytest.mark.parametrize("left", [60 * DAY, DAY, 0])
@pytest.mark.parametrize("outcome", [Outcome.INSTALLED, Outcome.UNPROVABLE, Outcome.UNPROVEN, Outcome.INCOMPLETE])
def test_a_result_on_record_is_judged_like_a_new_one(left: int, outcome: Outcome) -> None:
    """Twice is as once, and a day of little life does not hide the end."""
    new = in_place(90 * DAY, left, outcome)
    assert new.installed is not None
    new = replace(new, installed=replace(new.installed, by_issuer=True))
    once = standing(new, NOW)
    assert standing(once, NOW) == once
    assert standing(once, NOW + 61 * DAY).outcome is Outcome.EXPIRED
    assert standing(once, NOW + 1) == once  # a day later nothing else is said, and nothing is written


def test_an_earlier_agent_did_not_write_down_when_it_began() -> None:
    """Then only its end counts."""
    before = in_place(90 * DAY, DAY)
    assert before.installed is not None
    unknown = replace(before, installed=replace(before.installed, not_before=0))
    assert standing(unknown, NOW).outcome is Outcome.INSTALLED
    assert standing(unknown, NOW + 2 * DAY).outcome is Outcome.EXPIRED


def test_the_ca_of_the_one_before_is_named() -> None:
    """A certificate that no root vouches for is well, and each look at it says so."""
    before = in_place(90 * DAY, 60 * DAY)
    assert before.installed is not None
    found = standing(replace(before, installed=replace(before.installed, by_issuer=True)), NOW)
    assert (found.outcome, "no trusted root" in found.detail) == (Outcome.INSTALLED, True)


def test_a_served_certificate_that_ends(host: Host, nginx: Nginx) -> None:
    """With little life left, and after its end: each run is 1 and says so, with -q too; a newer one ends that."""
    start = datetime.now(UTC) - timedelta(days=30)
    left = timedelta(minutes=20)
    issued = host.sign((timedelta(days=30) + left) / timedelta(days=1), not_before=start)
    host.offer(issued.cert_pem, issued.chain_pem)
    first = host.run()
    assert (first.code, first.certificate["state"], first.certificate["changed"]) == (1, "ending", True)
    assert f"{host.name}: ending: it ends at" in first.err
    after_its_end = agent_ahead(left.total_seconds() + 1)
    quiet = host.agent("run", "-q", program=after_its_end)
    assert (quiet.code, quiet.out) == (1, "")
    assert f"{host.name}: expired: it expired at" in quiet.err
    assert "what to do: see `certfleet-issuer status" in quiet.err
    assert host.reported()["state"] == "expired"
    shown = host.agent("status", "--json", program=after_its_end)
    assert (shown.code, shown.certificate["state"]) == (1, "expired")
    assert nginx.served() == issued.certificate
    os.rename(host.database, host.folder / "away.db")
    away = host.agent("run", "-q", program=after_its_end)
    assert "unreachable" in away.err
    assert "meanwhile the certificate in place expired at" in away.err
    os.rename(host.folder / "away.db", host.database)
    renewed = host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
    assert nginx.served() == renewed.certificate
