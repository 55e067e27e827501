"""The parts of the page: what needs attention, the days ahead, the CAs, and the list in parts. Pure."""

import dataclasses
from typing import Any

import pytest

from issuer.model.failure import Failure
from issuer.model.page import ATTENTION, Choice, Entry, Overview, Sort
from issuer.rules.listing import INDEX, OURS, PER_PAGE, Files, Queries, choice_of, listing, page, pages, selected
from issuer.rules.page import days, host_troubles, left, shares, states, troubles

DAY = 86400
NOW = 20_000 * DAY + 5000
WELL, DISABLED, BAD = (True, False, 12, True), (True, True, 12, True), (False, False, 8, True)


def entry(name: str, **more: Any) -> Entry:
    values: dict[str, Any] = {
        "name": name,
        "rank": WELL,
        "state": "valid",
        "words": "valid",
        "well": True,
        "ca": "ca.example",
        "issuer": "R10",
        "comment": "",
        "starts": NOW - 30 * DAY,
        "ends": NOW + 60 * DAY,
        "coming": NOW + 30 * DAY,
        "coming_words": "2026",
    }
    return Entry(**values | more)


def failing(name: str, **more: Any) -> Entry:
    return entry(name, rank=BAD, state="failing", words="failing", well=False, **more)


def overview(*entries: Entry) -> Overview:
    return Overview(NOW, "box", "1", entries, (), (), {}, days(entries, NOW), shares(entries), ())


def test_one_cause_is_told_once_and_the_worst_first() -> None:
    """The names of those that have it stand beside it; words that differ by the name alone are one cause."""
    found = [
        (failing("b.test"), Failure("no answer for b.test", hint="look")),
        (failing("a.test"), Failure("no answer for a.test", hint="look")),
        (entry("z.test", rank=(False, False, 0, True), state="expired", well=False), Failure("it is expired")),
    ]
    first, second = troubles(found)
    assert (first.names, first.label, first.count) == (("z.test",), "expired", 1)
    assert (second.names, str(second.failure)) == (("a.test", "b.test"), "no answer for NAME")
    three = host_troubles([("w1", "silent", ""), ("w2", "not well", "no such file"), ("w3", "silent", "")])
    assert [(one.label, one.count, one.noun) for one in three] == [("silent", 2, "host"), ("not well", 1, "host")]
    assert str(three[1].failure) == "no such file"


def test_the_days_ahead() -> None:
    """A moment that has passed, and the next run, are today; a disabled certificate is no day's; the level of the most
    is 4, and that of a single one among many is 1."""
    busy = [entry(f"n{number}.test", coming=NOW + 2 * DAY) for number in range(100)]
    rare = [entry("rare.test", coming=NOW + 3 * DAY), entry("off.test", coming=NOW + 4 * DAY, enabled=False)]
    late = [entry("late.test", coming=NOW - 9 * DAY), entry("next.test", coming=0, coming_words="the next run")]
    bought = [entry("bought.test", coming=0, coming_words="", ends=NOW + 89 * DAY)]
    gone = [entry("gone.test", coming=0, coming_words="", ends=NOW - 1), entry("far.test", ends=NOW + 400 * DAY)]
    made = days([*busy, *rare, *late, *bought, *gone], NOW)
    assert len(made) == 90
    assert made[0].at == 20_000 * DAY
    assert [(day.renewals, day.renewals_level) for day in made[:5]] == [(2, 1), (0, 0), (100, 4), (1, 1), (0, 0)]
    assert (made[89].ends, sum(day.ends for day in made)) == (1, 104)


def test_the_life_that_is_left() -> None:
    """In percent of the whole, never outside of it; the mark of the renewal only where it is inside."""
    half = left(entry("a.test", starts=NOW - 50, ends=NOW + 50, coming=NOW + 20), NOW)
    assert half is not None
    assert (half.percent, half.renewal) == (50, 30)
    over = left(entry("a.test", starts=NOW - 50, ends=NOW - 10, coming=NOW + 20), NOW)
    assert over is not None
    assert (over.percent, over.renewal) == (0, None)
    assert left(entry("a.test", starts=0, ends=0), NOW) is None
    assert left(entry("a.test", starts=NOW, ends=NOW), NOW) is None


def test_the_states_and_the_shares() -> None:
    """The worst state first, a disabled certificate last under that word; CAs by their counts."""
    entries = [entry("a.test"), entry("b.test", ca="other"), failing("c.test"), entry("d.test", enabled=False)]
    entries[3] = dataclasses.replace(entries[3], rank=DISABLED)
    assert list(states(entries).items()) == [("failing", 1), ("valid", 2), ("disabled", 1)]
    assert [(share.ca, share.count, share.fraction) for share in shares(entries)] == [
        ("ca.example", 3, 0.75),
        ("other", 1, 0.25),
    ]


FLEET = [
    entry("b.test", ends=NOW + 3 * DAY, coming=NOW + DAY, ca="other", comment="for Ms. Weber"),
    entry("a.test", ends=NOW + 9 * DAY, coming=0, coming_words="the next run", names=("a.test", "shop.test")),
    failing("c.test", ends=NOW + 20 * DAY, coming=NOW + 2 * DAY),
    entry("d.test", ends=0, starts=0, coming=0, coming_words="", state="disabled", enabled=False, rank=DISABLED),
]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice(), "cbad"),
        (Choice(sort=Sort.NAME), "abcd"),
        (Choice(sort=Sort.END), "bacd"),
        (Choice(sort=Sort.NEXT), "abcd"),
        (Choice(state=ATTENTION), "c"),
        (Choice(state="failing"), "c"),
        (Choice(state="disabled"), "d"),
        (Choice(ca="other"), "b"),
        (Choice(search=" SHOP "), "a"),
        (Choice(search="weber"), "b"),
        (Choice(search="r10", ca="other"), "b"),
        (Choice(search="nothing"), ""),
    ],
)
def test_a_part_of_the_list(choice: Choice, expected: str) -> None:
    """Each filter, each order, and a search in names, comments and issuers."""
    assert "".join(one.name[0] for one in selected(FLEET, choice)) == expected


def test_the_list_is_cut_into_pages() -> None:
    """A page beyond the last is the last one; an empty list has one page."""
    many = [entry(f"n{number:05}.test") for number in range(PER_PAGE * 2 + 1)]
    assert (pages(len(many)), pages(0), pages(PER_PAGE)) == (3, 1, 1)
    assert [one.name for one in page(many, 99)] == [many[-1].name]
    assert page(many, 2)[0].name == many[PER_PAGE].name
    assert page([], 1) == []


def test_every_way_as_files_leads_to_a_part_that_is_written() -> None:
    """Each link of each part is the name of a page of some part, and no two parts have a name in common."""
    many = [entry(f"n{number:03}.test", ca=f"ca{number % 2}") for number in range(PER_PAGE + 5)]
    whole = overview(*many, failing("bad.test"), entry("odd.test", state="not sealed", ca="x/../y"))
    counts = states(whole.entries)
    files = Files(whole, counts)
    written = [
        files.href(dataclasses.replace(part, page=number))
        for part in files.parts()
        for number in range(1, pages(len(selected(whole.entries, part))) + 1)
    ]
    assert INDEX in written
    assert len(set(written)) == len(written)
    assert all(name == INDEX or OURS.fullmatch(str(name)) for name in written)
    for part in files.parts():
        view = listing(whole, part, selected(whole.entries, part), counts, files.href)
        links = [*view.states, *view.authorities, *view.sorts, *view.jumps]
        assert {*(link.href for link in links), view.previous, view.following, view.top} - {""} <= set(written)


@pytest.mark.parametrize(
    "choice",
    [Choice(), Choice(state="not sealed", ca="a/b&c=d", search="ä ?#+%", sort=Sort.END, page=7), Choice(page=2)],
)
def test_a_way_as_a_query_leads_back(choice: Choice) -> None:
    """What a link says is what is understood of it."""
    assert choice_of(Queries().href(choice).partition("?")[2]) == choice


@pytest.mark.parametrize(
    "query",
    ["page=-1", "page=x", "page=99999999999999", "page=%D9%A1x", "sort=up", "&".join(["a=b"] * 99), "%ff=%fe", "="],
)
def test_a_query_that_cannot_be_meant(query: str) -> None:
    """It is the whole list."""
    assert choice_of(query) == Choice()
