"""Windows, as tables: what opens when, also where the clocks are changed; and what waits."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from agent.model.window import parse_window
from agent.rules.window import ONE_RETRY, opening, waits_for

BERLIN = ZoneInfo("Europe/Berlin")  # 2026: forward on 29 March at 02:00, back on 25 October at 03:00
FORM = "%a %d %b %H:%M"


def at(text: str) -> float:
    """In UTC."""
    return datetime.fromisoformat(text + "+00:00").timestamp()


@pytest.mark.parametrize(
    ("window", "now", "begins", "ends"),
    [
        # 2026-11-29 is a Sunday; Berlin is one hour ahead in winter, two in summer
        ("Sun 02:00-04:00", "2026-11-24T12:00", "2026-11-29T01:00", "2026-11-29T03:00"),
        ("Sun 02:00-04:00", "2026-11-29T01:00", "2026-11-29T01:00", "2026-11-29T03:00"),
        ("Sun 02:00-04:00", "2026-11-29T02:59:59", "2026-11-29T01:00", "2026-11-29T03:00"),
        ("Sun 02:00-04:00", "2026-11-29T03:00", "2026-12-06T01:00", "2026-12-06T03:00"),
        ("sun 02:00-04:00", "2026-11-29T00:59", "2026-11-29T01:00", "2026-11-29T03:00"),
        ("Sat,Sun 02:00-04:00", "2026-11-24T12:00", "2026-11-28T01:00", "2026-11-28T03:00"),
        ("Sat, Sun 02:00-04:00", "2026-11-28T12:00", "2026-11-29T01:00", "2026-11-29T03:00"),
        ("Mon-Fri 02:00-04:00", "2026-11-27T12:00", "2026-11-30T01:00", "2026-11-30T03:00"),
        ("Sat-Mon 02:00-04:00", "2026-11-29T12:00", "2026-11-30T01:00", "2026-11-30T03:00"),
        ("02:00-04:00", "2026-11-24T12:00", "2026-11-25T01:00", "2026-11-25T03:00"),
        ("00:00-24:00", "2026-11-24T12:00", "2026-11-23T23:00", "2026-11-24T23:00"),
        # over midnight: it belongs to the day on which it begins
        ("Sat 23:00-01:00", "2026-11-28T23:30", "2026-11-28T22:00", "2026-11-29T00:00"),
        ("Sat 23:00-01:00", "2026-11-29T00:00", "2026-12-05T22:00", "2026-12-06T00:00"),
        ("23:00-01:00", "2026-11-24T23:30", "2026-11-24T22:00", "2026-11-25T00:00"),
        # 29 March: there is no 02:00 to 03:00
        ("Sun 02:00-04:00", "2026-03-28T12:00", "2026-03-29T01:00", "2026-03-29T02:00"),
        ("Sun 02:15-02:45", "2026-03-28T12:00", "2026-03-29T01:15", "2026-03-29T01:45"),
        ("Sun 02:30-03:00", "2026-03-28T12:00", "2026-03-29T01:30", "2026-03-29T02:00"),
        ("Sat 23:00-05:00", "2026-03-28T12:00", "2026-03-28T22:00", "2026-03-29T03:00"),
        # 25 October: 02:00 to 03:00 comes twice
        ("Sun 02:00-04:00", "2026-10-24T12:00", "2026-10-25T00:00", "2026-10-25T03:00"),
        ("Sun 02:15-02:45", "2026-10-24T12:00", "2026-10-25T00:15", "2026-10-25T00:45"),
        ("Sun 02:15-02:45", "2026-10-25T01:20", "2026-11-01T01:15", "2026-11-01T01:45"),
        ("Sat 23:00-05:00", "2026-10-24T12:00", "2026-10-24T21:00", "2026-10-25T04:00"),
    ],
)
def test_the_opening(window: str, now: str, begins: str, ends: str) -> None:
    """The one that is now, or the next one."""
    found = opening(parse_window(window), at(now), BERLIN)
    assert (found.begins, found.ends) == (at(begins), at(ends))


@pytest.mark.parametrize(
    ("ends", "waits"),
    [
        (None, True),
        ("2027-02-01T00:00", True),
        ("2026-11-30T03:01", True),  # a minute after the window and one retry
        ("2026-11-30T02:59", False),
        ("2026-11-29T02:00", False),
        ("2026-11-20T00:00", False),  # it has ended already
    ],
)
def test_what_waits(ends: str | None, waits: bool) -> None:
    """Not what would end before the next opening is over and one retry has passed."""
    found = waits_for(parse_window("Sun 02:00-04:00"), at("2026-11-24T12:00"), at(ends) if ends else None, BERLIN)
    assert (found is not None) is waits
    assert ONE_RETRY == 86400


def test_nothing_waits_in_its_window() -> None:
    window = parse_window("Sun 02:00-04:00")
    assert waits_for(window, at("2026-11-29T01:00"), None, BERLIN) is None
    assert waits_for(window, at("2026-11-29T03:00"), None, BERLIN) is not None


@pytest.mark.parametrize(
    "text",
    [
        *("", "Sun", "02:00", "02:00-02:00", "25:00-26:00", "02:00-24:01", "24:00-02:00", "Son 02:00-04:00"),
        *("Sunday 01:00-02:00", "Sun,,Mon 01:00-02:00", "Sun 02:60-04:00", "Sun- 02:00-04:00", "daily 02:00-04:00"),
    ],
)
def test_no_window(text: str) -> None:
    """A sentence that begins like the others of agent.toml."""
    with pytest.raises(ValueError, match=r"^must "):
        parse_window(text)
