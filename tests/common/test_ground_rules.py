"""Names, durations, error sentences and the two command lines' common ground: tables of cases."""

import argparse
from pathlib import Path

import pytest

from common.clock import duration_text, parse_duration, utc_text
from common.command_line import CommandLine, table
from common.errors import CertfleetError, ConfigError, Finding, LockedError, RefusedError, UsageError, render
from common.names import covers, parse_dns_name, redundant, uncovered
from tests.servers.stopwatch import Stopwatch


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("www.Example.TEST", "www.example.test"),
        (" www.example.test. ", "www.example.test"),
        ("*.example.test", "*.example.test"),
        ("xn--mnchen-3ya.test", "xn--mnchen-3ya.test"),
        ("a" * 63 + ".test", "a" * 63 + ".test"),
        ("1.2.3.example.test", "1.2.3.example.test"),
    ],
)
def test_names(text: str, name: str) -> None:
    """One canonical form: lower case, no dot at the end."""
    assert parse_dns_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "localhost", "*.test", "*", "**.example.test", "a.*.test", "192.0.2.1", "a..test", ".a.test"),
        *("-a.test", "a-.test", "a_b.test", "a" * 64 + ".test", "a." * 130 + "test", "münchen.test", "a b.test"),
        *(
            "a.test/",
            "a.test\nb.test",
            "a.1",
            "ban\N{KELVIN SIGN}.test",
            "*.*.test",
            "\N{FULLWIDTH LATIN SMALL LETTER A}.test",
        ),
    ],
)
def test_names_that_cannot_be(text: str) -> None:
    """A sentence that repeats what was given."""
    with pytest.raises(ValueError, match="not"):
        parse_dns_name(text)


def test_a_wildcard_covers_exactly_one_label() -> None:
    """RFC 9525 §6.3, and what is left uncovered is told in order."""
    assert covers("*.example.test", "www.example.test")
    assert not covers("*.example.test", "example.test")
    assert not covers("*.example.test", "a.b.example.test")
    wanted = frozenset({"b.test", "a.test", "www.example.test", "*.example.test"})
    assert uncovered(wanted, frozenset({"*.example.test"})) == ["a.test", "b.test"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("90s", 90), ("10m", 600), ("1h", 3600), ("3d", 259200), ("007m", 420)]
)
def test_durations(text: str, seconds: int) -> None:
    """A whole number and its unit."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "1w", "-1s", "1.5h", "1 h", "1h30m", "1H", "٣s", "9" * 10 + "s"])
def test_durations_that_are_none(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (0.4, "0s"), (99, "99s"), (100, "1m"), (5999, "99m"), (7200, "2h"), (12_000, "3h 20m"), (5e6, "57d")],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    """One or two units, never a sign."""
    assert duration_text(seconds) == text


def test_moments_for_people() -> None:
    """ISO 8601 in UTC, whatever the machine's zone."""
    assert utc_text(1_800_000_000.9) == "2027-01-15T08:00:00Z"


def test_errors_say_what_why_and_what_to_do() -> None:
    """One finding is a sentence, several are a list; the hint comes last."""
    assert render(RefusedError("no", why="because", hint="do")) == ["error: no: because", "  what to do: do"]
    one = ConfigError("f.toml", [Finding("a.b", "is bad")])
    assert render(one)[0] == "error: f.toml: a.b: is bad"
    two = ConfigError("f.toml", [Finding("a.b", "is bad"), Finding("", "is worse")], hint="mend")
    lines = ["error: f.toml: 2 findings", "  a.b: is bad", "  is worse", "  what to do: mend"]
    assert render(two) == lines


def line(seen: list[argparse.Namespace], raises: BaseException | None = None) -> CommandLine:
    """A command line with one command, one group, and a handler that notes what it was given."""

    def handle(arguments: argparse.Namespace) -> int:
        seen.append(arguments)
        if raises is not None:
            raise raises
        return 0

    made = CommandLine("program", "What it is for.", "/etc/default.toml")
    made.command("do", handle, "do it", reports=True)
    made.group("db", "the database").command("look", handle, "look at it")
    return made


@pytest.mark.parametrize(
    "words",
    [
        ["--config", "/x", "do"],
        ["do", "--config", "/x"],
        ["--config", "/y", "do", "--config", "/x"],
        *(["--config", "/x", "db", "look"], ["db", "look", "--config", "/x"]),
    ],
)
def test_common_options_work_before_and_after_the_word(words: list[str]) -> None:
    """--config on either side; the one closest to the word wins."""
    seen: list[argparse.Namespace] = []
    assert line(seen).run(words) == 0
    assert seen[0].config == Path("/x")


def test_where_the_configuration_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """The option, else the environment, else the default."""
    seen: list[argparse.Namespace] = []
    monkeypatch.delenv("CERTFLEET_CONFIG", raising=False)
    line(seen).run(["do"])
    monkeypatch.setenv("CERTFLEET_CONFIG", "/env.toml")
    line(seen).run(["do"])
    line(seen).run(["do", "--config", "/x"])
    assert [str(each.config) for each in seen] == ["/etc/default.toml", "/env.toml", "/x"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        *((CertfleetError("x"), 1), (RefusedError("x"), 1), (UsageError("x"), 2), (ConfigError("x", []), 2)),
        *((LockedError("x"), 3), (KeyboardInterrupt(), 130), (ZeroDivisionError("x"), 1)),
    ],
)
def test_exit_codes(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Each kind of error has its code and a sentence on stderr; a fault of our own shows no traceback either."""
    assert line([], error).run(["do"]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err
    assert "Traceback" not in printed.err


@pytest.mark.parametrize("words", [[], ["undo"], ["do", "--jsn"], ["db"], ["do", "extra"], ["--conf", "/x", "do"]])
def test_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What the command line does not know ends with exit code 2 and the usage."""
    assert line([]).run(words) == 2
    assert "usage: program" in capsys.readouterr().err


def test_tables_are_as_wide_as_their_content() -> None:
    """Columns in line, no blanks at the end; no cell looks like two."""
    assert table(["A", "LONG"], [["first", "1"], ["2", ""]]) == ["A      LONG", "first  1", "2"]
    assert table(["A", "B"], [["a  valid", ""]]) == [f"A{' ' * 15}B", "a\\x20\\x20valid"]


def test_thousands_of_names_are_compared_at_once() -> None:
    """As many as fit into a request and a certificate: one pair of these took minutes, in each `status`."""
    wanted = frozenset(f"a.b{number}.test" for number in range(5000))
    offered = frozenset(f"*.b{number}.test" for number in range(1, 20_000))
    watch = Stopwatch()
    assert uncovered(wanted, offered) == ["a.b0.test"]
    assert len(redundant([*sorted(wanted), *sorted(offered)])) == 4999
    assert watch.seconds() < 1


def test_names_that_are_looked_up_are_those_that_are_covered() -> None:
    names = ["test", "a.test", "*.test", "b.a.test", "*.a.test", "*.", "127.0.0.1", "::1", "*.0.0.1"]
    for name in names:
        for pattern in names:
            assert (not uncovered(frozenset([name]), frozenset([pattern]))) is covers(pattern, name)
            found = redundant([name, pattern]) if name != pattern else []
            assert ((name, pattern) in found) is (name != pattern and covers(pattern, name))
