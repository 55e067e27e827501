"""A failure that several certificates share, and who makes their next attempt: the words, from values to text."""

from issuer.model.events import from_json, of_ending, to_json
from issuer.model.failure import Failure
from issuer.model.outcomes import Ended, Ending
from issuer.model.tries import BY_DAEMON, BY_NEXT_RUN, Tries
from issuer.rules import mail_text
from issuer.rules.mail_text import body
from issuer.rules.shared_failures import by_failure, complaints, without
from tests.issuer.fakes.clock import NOW
from tests.servers.stopwatch import Stopwatch

MANY = [f"w{number:02}.example.test" for number in range(40)]
DEAD = Failure("the name server ns1 cannot be asked", "timed out", "start it")


def failed(name: str, failure: Failure = DEAD, at: int = 3600) -> Ended:
    return Ended(name, Ending.FAILED, "", at, failure, 1)


def test_one_dead_server_is_one_paragraph() -> None:
    """Forty names that fail for it: their count, the first of them, what to do, and the first next attempt."""
    endings = [failed(name, at=3600 + number) for number, name in enumerate(reversed(MANY))]
    [paragraph] = complaints(endings, BY_NEXT_RUN)
    assert paragraph == [
        "error: 40 certificates: failed: the name server ns1 cannot be asked: timed out",
        "  certificates: w00.example.test, w01.example.test, w02.example.test and 37 more",
        "  what to do: start it",
        "  next attempt: the first run after 1970-01-01T01:00:00Z",
    ]


def test_another_failure_is_another_paragraph() -> None:
    """Also another ending of the same failure; an ending without a failure is none."""
    endings = [failed("a"), failed("b", Failure("full")), Ended.held("c", 9, DEAD, by_itself=True)]
    paragraphs = complaints([*endings, Ended("d", Ending.STORED)], BY_DAEMON)
    assert [lines[0].split(": ")[1:3] for lines in paragraphs] == [
        ["a", "failed"],
        ["b", "failed"],
        ["c", "held"],
    ]


def test_words_that_differ_by_the_own_name_are_one_failure() -> None:
    """They say NAME then; alone, a certificate keeps its own words. A part of another name is not its name."""
    own = [(name, Failure(f"_acme-challenge.{name} is in the zone example.test")) for name in ("a.test", "b.test")]
    [common] = by_failure(own, lambda told: told)
    assert common.failure.what == "_acme-challenge.NAME is in the zone example.test"
    [alone] = by_failure(own[:1], lambda told: told)
    assert alone.failure.what == "_acme-challenge.a.test is in the zone example.test"
    others = [("a.test", Failure("my-a.test is lame")), ("b.test", Failure("my-b.test is lame"))]
    assert len(by_failure(others, lambda told: told)) == 2


def test_a_label_that_is_an_ordinary_word_stays() -> None:
    """Words of ours are no name, whatever a label is called."""
    [common] = by_failure([("fault", Failure("a fault"))], lambda told: told)
    assert common.failure.what == "a fault"
    assert len(by_failure([("fault", Failure("a fault")), ("bug", Failure("a bug"))], lambda told: told)) == 2


def test_a_moment_is_promised_only_where_somebody_acts_then() -> None:
    """A daemon always, a run as long as it stays, and nobody after that."""
    at = "2027-01-15T08:00:00Z"
    assert BY_DAEMON.words(NOW) == at == Tries(NOW).words(NOW)
    assert BY_NEXT_RUN.words(NOW) == Tries(NOW - 1).words(NOW) == f"the first run after {at}"
    assert failed("a", at=NOW).line(BY_DAEMON) == f"a: failed; next attempt at {at}"
    assert failed("a", at=NOW).line(BY_NEXT_RUN) == f"a: failed; next attempt at the first run after {at}"


def test_a_mail_says_the_same() -> None:
    """One paragraph for one failure, with its count; the moment as whoever sends the mail will keep it."""
    events = [event for event in (of_ending(failed(name, at=NOW)) for name in MANY) if event is not None]
    text = mail_text.body(events, "box", NOW, BY_NEXT_RUN)
    assert text.count("what: ") == 1
    assert "  40 certificates for one reason:\n" in text
    assert text.count("next attempt at the first run after 2027") == 40
    assert "next attempt at 2027" in mail_text.body(events, "box", NOW, BY_DAEMON)
    assert mail_text.line(events[0], BY_DAEMON).endswith("next attempt at 2027-01-15T08:00:00Z")


def test_who_asked_is_no_part_of_the_cause() -> None:
    """One cause, whoever came for it: it is told once, with the quotes of the first few beside it."""
    why = "no right answer for {}"
    names = [f"{letter}.example.test" for letter in "abcde"]
    told = [(name, Failure("it failed", why.format(name), "mend it", asked=f"asked for {name}")) for name in names]
    [common] = by_failure(told, lambda one: one)
    assert common.failure == Failure("it failed", why.format("NAME"), "mend it")
    quotes = "; ".join(f"asked for {name}" for name in names[:3])
    assert common.failure.asked == f"{quotes}; and 2 more such lines"
    assert common.failure.advice == [("who asked", common.failure.asked), ("what to do", "mend it")]
    [alone] = by_failure(told[:1], lambda one: one)
    assert alone.failure.sentence == f"{told[0][1]}; asked for a.example.test (mend it)"


def test_a_mail_tells_one_cause_once() -> None:
    """Each event keeps its quotes on its way through the outbox."""
    ended = [failed(name, Failure("it failed", asked=f"asked for {name} by 192.0.2.{ord(name)}")) for name in "ab"]
    text = body([from_json(to_json(event)) for event in map(of_ending, ended) if event], "issuer", 0)
    assert text.count("what:") == 1
    assert "who asked:" in text
    assert all(f"by 192.0.2.{ord(name)}" in text for name in "ab")


def test_a_name_is_found_where_it_stands_alone() -> None:
    """Whatever its letters, at either end and several times; not as a part of a longer name."""
    text = "WWW.a.test: www.a.test, x.www.a.test www.a.test2 my-www.a.test www.a.test"
    assert without("*.www.a.test", text) == "NAME: NAME, x.NAME www.a.test2 my-www.a.test NAME"
    assert without("www.a.test", "\u0130: www.a.test") == "\u0130: NAME"


def test_very_many_names_cost_little() -> None:
    """Somebody may have written 30,000 names and errors that mention them."""
    told = [
        (f"n{number}.test", Failure(f"n{number}.test failed", "why", f"look at n{number}.test"))
        for number in range(30_000)
    ]
    watch = Stopwatch()
    assert without("n1.test", "n1.test: " + 100_000 * "a") == "NAME: " + 100_000 * "a"
    [common] = by_failure(told, lambda one: one)
    assert watch.seconds() < 10
    assert common.failure.what == "NAME failed"
