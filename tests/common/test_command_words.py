"""Words of a command line that nobody has, and how a log is shown that a person reads."""

import argparse

import pytest

from common.command_line import CommandLine
from common.late_log import LateLog


def _line() -> CommandLine:
    def log(_arguments: argparse.Namespace) -> int:
        LateLog().warning("record.damaged", file="x")
        return 0

    line = CommandLine("certfleet-agent", "Text.", "/nowhere")
    line.command("status", log, "text")
    line.command("check", log, "text").add_argument("--colour", choices=["red", "green"])
    return line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["staus"], "there is no 'staus'; did you mean status?"),
        (["check", "--colour", "gren"], "there is no 'gren'; did you mean green?"),
        (["x"], "there is no 'x'; choose from status, check"),
        (["sta\x1b[2Jtus"], "there is no 'sta\\x1b[2Jtus'; did you mean status?"),
    ],
)
def test_a_wrong_word_is_answered_with_a_near_one(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, exit code 2; all words only where none is near."""
    assert _line().run(words) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(said)


@pytest.mark.parametrize(
    ("words", "begin"), [(["status"], "{"), (["status", "--plain-log"], "warning: record.damaged file=x")]
)
def test_plain_log(words: list[str], begin: str, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON where no terminal is, lines on request."""
    assert _line().run(words) == 0
    assert capsys.readouterr().err.startswith(begin)
